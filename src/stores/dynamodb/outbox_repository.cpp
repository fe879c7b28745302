#include "stores/dynamodb/limits.hpp"
#include "stores/dynamodb/mark.hpp"
#include "stores/dynamodb/session_impl.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "stores/dynamodb/table_name.hpp"
#include "txm/dynamodb.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace txm::dynamodb {
namespace {

using detail::DatabaseImpl;
using detail::OutboxTable;
using detail::TableKey;

std::shared_ptr<const OutboxTable> outbox_table(std::string name, const OutboxOptions& options) {
    auto table = std::make_shared<OutboxTable>();
    table->name = detail::checked_table_name(std::move(name));
    table->state_table = detail::state_table_name(table->name, options.state_table);
    table->ordered = options.ordered;
    table->compat = options.compat;
    return table;
}

/// The rows of these messages with what the state table says of them, read consistently; rows that are gone are left out.
awaitable<std::vector<StoredMessage>> read_messages(DatabaseImpl& db, const OutboxTable& table,
                                                    const std::vector<Uuid>& ids) {
    const bool has_states = !db.is_known_missing(table.state_table);
    std::vector<TableKey> keys;
    keys.reserve(ids.size() * (has_states ? 2 : 1));
    for (const Uuid& id : ids) {
        keys.emplace_back(table.name, detail::outbox_key(id));
        if (has_states)
            keys.emplace_back(table.state_table, detail::message_state_key(id));
    }
    std::vector<std::optional<Item>> items;
    bool is_table_missing = false;
    try {
        items = co_await db.get_items(keys);
    } catch (const Error& error) {
        // Whoever writes to a table of another program's need not have one beside it.
        if (!has_states || error.code() != Errc::schema_missing)
            throw;
        is_table_missing = true;
    }
    if (is_table_missing) {
        std::vector<TableKey> rows;
        rows.reserve(ids.size());
        for (const Uuid& id : ids)
            rows.emplace_back(table.name, detail::outbox_key(id));
        items = co_await db.get_items(rows);
        db.learn_missing(table.state_table);
    }
    const bool has_state_items = has_states && !is_table_missing;
    std::vector<StoredMessage> messages;
    messages.reserve(ids.size());
    for (std::size_t i = 0; i < items.size(); i += has_state_items ? 2 : 1) {
        if (!items[i])
            continue;
        StoredMessage& message = messages.emplace_back(detail::message_of(*items[i]));
        if (has_state_items && items[i + 1])
            detail::apply_state(message, *items[i + 1]);
    }
    co_return messages;
}

/// The ids that the index of undispatched messages shows under `mark`.
awaitable<std::vector<Uuid>> undispatched_ids(DatabaseImpl& db, std::string table, std::string_view mark) {
    Item values;
    values.emplace(":mark", mark);
    Query query{std::move(table), "NotDispatched = :mark", std::move(values)};
    query.index = "NotDispatchedMessagesIndex";
    query.consistent = false;
    const std::vector<Item> rows = co_await db.read_all(std::move(query));
    std::vector<Uuid> ids;
    ids.reserve(rows.size());
    for (const Item& row : rows) {
        const std::string* id = detail::text_of(row, "MessageId");
        if (const auto parsed = id ? Uuid::try_parse(*id) : std::nullopt)
            ids.push_back(*parsed);
    }
    co_return ids;
}

}  // namespace

OutboxRepository::OutboxRepository(std::string table, Session& session, TopicMap topics, OutboxOptions options)
    : txm::OutboxRepository(std::move(topics)),
      table_(outbox_table(std::move(table), options)),
      session_(session.impl_) {}

OutboxRepository::~OutboxRepository() = default;

void OutboxRepository::stage(std::vector<Staged> batch) {
    const auto session = detail::alive(session_);
    session->check_usable();
    for (const Staged& staged : batch)
        detail::check_row(staged.message, *table_);
    auto& writes = session->writes;
    writes.reserve(writes.size() + batch.size());
    for (Staged& staged : batch)
        writes.emplace_back(std::in_place_type<detail::OutboxRow>, table_, std::move(staged.message));
}

awaitable<std::optional<StoredMessage>> OutboxRepository::get(Uuid message_id) {
    const auto session = detail::alive(session_);
    const detail::Operation operation{session};
    const std::vector<Uuid> ids{message_id};
    std::vector<StoredMessage> messages = co_await read_messages(session->database, *table_, ids);
    operation.check_undisturbed();
    std::optional<StoredMessage> message;
    if (!messages.empty())
        message = std::move(messages.front());
    co_return message;
}

awaitable<void> OutboxRepository::mark_as_dispatched(Uuid message_id) {
    const auto session = detail::alive(session_);
    session->check_usable();
    const detail::Operation operation{session};
    co_await detail::mark_as_dispatched(session->database, table_, message_id);
    operation.check_undisturbed();
}

awaitable<std::vector<StoredMessage>> OutboxRepository::get_not_dispatched_messages() {
    const auto session = detail::alive(session_);
    const detail::Operation operation{session};
    DatabaseImpl& db = session->database;
    std::vector<Uuid> ids = co_await undispatched_ids(db, table_->name, detail::not_dispatched);
    if (!table_->compat) {
        const std::vector<Uuid> parked = co_await undispatched_ids(db, table_->name, detail::not_dispatched_parked);
        ids.insert(ids.end(), parked.begin(), parked.end());
        std::sort(ids.begin(), ids.end());  // one that was parked between the two is in both
        ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    }
    // An index is behind its table.
    std::vector<StoredMessage> messages = co_await read_messages(db, *table_, ids);
    operation.check_undisturbed();
    std::erase_if(messages, [](const StoredMessage& message) {
        return message.is_dispatched() || message.state == MessageState::dead;
    });
    std::sort(messages.begin(), messages.end(), [](const StoredMessage& a, const StoredMessage& b) {
        return std::tie(a.created_at, a.stored_at, a.sequence, a.message_id) <
               std::tie(b.created_at, b.stored_at, b.sequence, b.message_id);
    });
    co_return messages;
}

}  // namespace txm::dynamodb
