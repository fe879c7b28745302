#include "staged_write.hpp"

#include "core/headers_json.hpp"
#include "core/identifier.hpp"
#include "feed_row.hpp"
#include "schema.hpp"
#include "txm/error.hpp"

#include <sqlite3.h>

#include <functional>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace txm::sqlite::detail {
namespace {

UuidText text_of(const Uuid& id) noexcept {
    UuidText text;
    id.write_to(text.data());
    return text;
}

std::string_view view(const UuidText& text) noexcept {
    return {text.data(), text.size()};
}

std::string with_table(const std::string& sql, const std::string& table) {
    constexpr std::string_view mark = "TABLE";
    std::string result = sql;
    for (auto at = result.find(mark); at != std::string::npos; at = result.find(mark, at + table.size()))
        result.replace(at, mark.size(), table);
    return result;
}

void check_count(const Statement& statement, const Query& query) {
    const auto wanted = static_cast<std::size_t>(sqlite3_bind_parameter_count(query.handle()));
    if (wanted != statement.parameters().size())
        throw Error(Errc::statement_failed, "the statement `" + statement.sql().substr(0, 80) + "` has " +
                                                std::to_string(wanted) + " placeholders, but was given " +
                                                std::to_string(statement.parameters().size()) + " values");
}

template <class Sql>
std::shared_ptr<const Sql> known_or_made(const std::string& table) {
    static std::mutex mutex;
    static std::unordered_map<std::string, std::shared_ptr<const Sql>> known;
    const std::scoped_lock lock(mutex);
    if (const auto found = known.find(table); found != known.end())
        return found->second;
    return known.emplace(table, std::make_shared<const Sql>(table)).first->second;
}

}  // namespace

std::shared_ptr<const InboxSql> inbox_sql(const std::string& table) {
    return known_or_made<InboxSql>(table);
}

std::shared_ptr<const OutboxSql> outbox_sql(const std::string& table) {
    return known_or_made<OutboxSql>(table);
}

// That a row is there already is told by the number of rows, never by an error, so that a unique constraint of the user's
// is not taken for ours.
InboxSql::InboxSql(std::string table_name) : table(txm::detail::checked_identifier(table_name)) {
    const std::string name = '"' + table + '"';
    // One statement, so that no purge comes between the look at the window and the insert.
    insert = with_table(
        "insert into TABLE (consumer, message_id, created_at, stored_at, payload_hash) select ?1, ?2, ?3, ?4, ?5"
        " where ?4 > coalesce((select value from txm_meta where key = ?6), '') on conflict (consumer, message_id) do "
        "nothing",
        name);
    replay = with_table(
        "update TABLE set state = 0, created_at = ?3, stored_at = ?4, payload_hash = ?5"
        " where consumer = ?1 and message_id = ?2 and state = 1",
        name);
    select =
        with_table("select state, created_at, payload_hash from TABLE where consumer = ?1 and message_id = ?2", name);
}

OutboxSql::OutboxSql(std::string table_name) : table(txm::detail::checked_identifier(table_name)) {
    const std::string name = '"' + table + '"';
    insert = with_table(
        "insert into TABLE (message_id, topic, type, aggregate_id, correlation_id, payload, headers, created_at, "
        "stored_at)"
        " values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) on conflict (message_id) do nothing",
        name);
    exists = with_table("select 1 from TABLE where message_id = ?1", name);
    const std::string columns = "select " + std::string(outbox_row_columns) + " from TABLE as o ";
    select = with_table(columns + "where o.message_id = ?1", name);
    // Two searches of the partial indexes, merged by the order; `state in (0, 2)` would read the whole table.
    select_not_dispatched = with_table(columns +
                                           "where o.sequence in (select sequence from TABLE where state = 0 union all"
                                           " select sequence from TABLE where state = 2) order by o.sequence",
                                       name);
    select_lane = with_table("select state, aggregate_id from TABLE where message_id = ?1", name);
    mark_as_dispatched = with_table(
        "update TABLE set state = 1, approximate_dispatch_count = approximate_dispatch_count + 1, last_dispatched_at = "
        "?2"
        " where message_id = ?1",
        name);
}

InboxRow::InboxRow(std::shared_ptr<const InboxSql> statements, const Incoming& incoming, std::string consumer_name)
    : sql(std::move(statements)),
      consumer(std::move(consumer_name)),
      message_id(incoming.message_id),
      payload_hash(incoming.payload_hash),
      replay(incoming.replay) {
    if (incoming.stored_at)
        stored_at = to_iso8601(*incoming.stored_at);
}

void InboxRow::write(Connection& connection) const {
    check_schema(connection, connection.path());
    const UuidText id = text_of(message_id);
    const std::string created_at = to_iso8601(now());
    const std::string key = purged_to_key(sql->table, consumer);
    const auto run = [&](const std::string& statement, bool has_key) {
        auto query = connection.prepare(statement);
        query.bind(1, consumer).bind(2, view(id)).bind(3, created_at);
        // When it was sent is not known: then it counts as sent now, so that a purge will find it.
        query.bind(4, stored_at ? *stored_at : created_at);
        if (payload_hash)
            query.bind(5, static_cast<std::int64_t>(*payload_hash));
        if (has_key)
            query.bind(6, key);
        return query.run() == 1;
    };
    // A replay flips a dead letter. Where there is none, it is as much a stranger as any other: the sender's operator does
    // not know which consumers have applied and forgotten it.
    if ((replay && run(sql->replay, false)) || run(sql->insert, true))
        return;
    auto row = connection.prepare(sql->select);
    if (!row.bind(1, consumer).bind(2, view(id)).step())
        throw OutsideInboxWindowError(message_id);
    const bool differs = payload_hash && !row.is_null(2) && static_cast<std::uint64_t>(row.integer(2)) != *payload_hash;
    throw MessageAlreadyProcessedError(message_id, differs);
}

bool InboxRow::is_there(Connection& connection) const {
    const UuidText id = text_of(message_id);
    auto row = connection.prepare(sql->select);
    return row.bind(1, consumer).bind(2, view(id)).step() && row.integer(0) == static_cast<int>(InboxState::processed);
}

OutboxRow::OutboxRow(std::shared_ptr<const OutboxSql> statements, StoredMessage&& message)
    : sql(std::move(statements)),
      message_id(message.message_id),
      id_text(text_of(message.message_id)),
      correlation_text(text_of(message.correlation_id.is_nil() ? message.message_id : message.correlation_id)),
      topic(std::move(message.topic)),
      type(std::move(message.type)),
      aggregate_id(message.aggregate_id.str()),
      payload(std::move(message.payload)),
      headers(message.headers.empty() ? std::string("{}") : txm::detail::headers_to_json(message.headers)),
      created_at(to_iso8601(message.created_at)) {}

void OutboxRow::write(Connection& connection, const std::string& stored_at) const {
    check_schema(connection, connection.path());
    auto query = connection.prepare(sql->insert);
    query.bind(1, view(id_text)).bind(2, topic).bind(4, aggregate_id).bind(5, view(correlation_text)).bind(6, payload);
    query.bind(7, headers).bind(8, created_at).bind(9, stored_at);
    if (!type.empty())
        query.bind(3, type);
    if (query.run() == 0)
        throw MessageAlreadyPublishedError(message_id);
}

Query prepare_bound(Connection& connection, const Statement& statement) {
    Query query = connection.prepare_user(statement.sql());
    check_count(statement, query);
    int index = 0;
    for (const Value& value : statement.parameters())
        query.bind(++index, value);
    return query;
}

void check_rows(const Statement& statement, std::size_t changed) {
    if (!statement.expected_rows() || *statement.expected_rows() == changed)
        return;
    if (statement.error())
        std::rethrow_exception(statement.error());
    throw Error(Errc::unexpected_rows, "the statement `" + statement.sql().substr(0, 80) + "` changed " +
                                           std::to_string(changed) + " rows instead of " +
                                           std::to_string(*statement.expected_rows()));
}

void write_all(Connection& connection, const std::vector<StagedWrite>& writes) {
    const std::string stored_at = to_iso8601(now());
    for (const StagedWrite& write : writes) {
        if (const auto* statement = std::get_if<Statement>(&write))
            check_rows(*statement, prepare_bound(connection, *statement).run());
        else if (const auto* row = std::get_if<OutboxRow>(&write))
            row->write(connection, stored_at);
        else
            std::get<InboxRow>(write).write(connection);
    }
}

std::function<bool(Connection&)> witness_of(const std::vector<StagedWrite>& writes) {
    for (const StagedWrite& write : writes) {
        if (const auto* sent = std::get_if<OutboxRow>(&write)) {
            return [sql = sent->sql, id = sent->id_text](Connection& connection) {
                auto row = connection.prepare(sql->exists);
                return row.bind(1, view(id)).step();
            };
        }
        if (const auto* received = std::get_if<InboxRow>(&write))
            return [row = *received](Connection& connection) { return row.is_there(connection); };
    }
    return {};
}

}  // namespace txm::sqlite::detail
