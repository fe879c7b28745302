#include "brokers/local/message_row.hpp"

#include "core/headers_json.hpp"
#include "txm/error.hpp"

#include <charconv>
#include <optional>

namespace txm::local::detail {
namespace {

using sqlite::detail::Query;

constexpr std::string_view insert_into =
    "insert into message (topic, partition, dedup_id, aggregate_id, correlation_id, type, payload, headers, "
    "created_at, "
    "stored_at, sequence, epoch, replays, published_at) values ";
constexpr std::string_view row_parameters = "(?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
constexpr std::string_view keep_known = " on conflict (dedup_id) do nothing";

std::string insert_statement(std::size_t rows) {
    std::string sql{insert_into};
    for (std::size_t i = 0; i < rows; ++i)
        sql.append(i == 0 ? "" : ",").append(row_parameters);
    return sql.append(keep_known);
}

std::optional<std::int64_t> epoch_of(const Headers& headers) {
    const auto found = headers.find("epoch");
    if (found == headers.end())
        return std::nullopt;
    const std::string& text = found->second;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::int64_t microseconds(Timestamp time) {
    return time.time_since_epoch().count();
}

}  // namespace

void MessageInserter::insert(Connection& connection, std::span<const StoredMessage* const> messages,
                             Timestamp published_at) {
    static const std::string many = insert_statement(rows_per_statement), one = insert_statement(1);
    if (messages.size() >= rows_per_statement) {
        auto query = connection.prepare(many);
        for (; messages.size() >= rows_per_statement; messages = messages.subspan(rows_per_statement))
            insert_rows(query, messages.first(rows_per_statement), microseconds(published_at));
    }
    if (messages.empty())
        return;
    auto query = connection.prepare(one);
    for (; !messages.empty(); messages = messages.subspan(1))
        insert_rows(query, messages.first(1), microseconds(published_at));
}

void MessageInserter::insert_rows(Query& query, std::span<const StoredMessage* const> rows, std::int64_t published_at) {
    int at = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const StoredMessage& m = *rows[i];
        Scratch& scratch = scratch_[i];

        m.message_id.write_to(scratch.dedup_id.data());
        char* end = scratch.dedup_id.data() + 36;
        if (m.replays > 0) {
            *end++ = '#';
            *end++ = 'r';
            end = std::to_chars(end, scratch.dedup_id.data() + scratch.dedup_id.size(), m.replays).ptr;
        }

        query.bind(++at, std::string_view{m.topic});
        query.bind(++at, static_cast<std::int64_t>(partition_of(m.aggregate_id.str())));
        query.bind(++at, std::string_view{scratch.dedup_id.data(), end});
        query.bind(++at, std::string_view{m.aggregate_id.str()});
        if (m.correlation_id.is_nil() || m.correlation_id == m.message_id) {
            query.bind_null(++at);
        } else {
            m.correlation_id.write_to(scratch.correlation_id.data());
            query.bind(++at, std::string_view{scratch.correlation_id.data(), scratch.correlation_id.size()});
        }
        query.bind(++at, std::string_view{m.type});
        query.bind(++at, std::string_view{m.payload});
        if (m.headers.empty()) {
            query.bind(++at, std::string_view{"{}"});
        } else {
            scratch.headers.clear();
            txm::detail::append_headers_json(scratch.headers, m.headers);
            query.bind(++at, std::string_view{scratch.headers});
        }
        query.bind(++at, microseconds(m.created_at));
        query.bind(++at, microseconds(m.stored_at));
        query.bind(++at, std::int64_t{m.sequence});
        if (const auto epoch = epoch_of(m.headers))
            query.bind(++at, *epoch);
        else
            query.bind_null(++at);
        query.bind(++at, static_cast<std::int64_t>(m.replays));
        query.bind(++at, published_at);
    }
    query.run();
    query.reset();
}

Delivery read_delivery(const Query& row, const std::string& topic) {
    Delivery delivery;
    delivery.position = row.integer(0);
    delivery.token = static_cast<std::uint64_t>(delivery.position);
    delivery.partition = static_cast<int>(row.integer(1));

    StoredMessage& m = delivery.message;
    const auto damaged = [&](const char* what) {
        return Error(Errc::store_unavailable, "the message at offset " + std::to_string(delivery.position) +
                                                  " of topic " + topic + " is damaged: " + what +
                                                  "; delete its row, or restore the file");
    };
    const auto id = Uuid::try_parse(row.text(2).substr(0, 36));
    if (!id)
        throw damaged("its dedup_id does not begin with a UUID");
    m.message_id = *id;
    m.aggregate_id = row.text(3);
    m.correlation_id = m.message_id;
    if (!row.is_null(4)) {
        const auto correlation = Uuid::try_parse(row.text(4));
        if (!correlation)
            throw damaged("its correlation_id is not a UUID");
        m.correlation_id = *correlation;
    }
    m.topic = topic;
    m.type = row.text(5);
    m.payload = row.text(6);
    try {
        m.headers = txm::detail::headers_from_json(row.text(7));
    } catch (const Error& e) {
        throw damaged(e.what());
    }
    m.created_at = Timestamp{Timestamp::duration{row.integer(8)}};
    m.stored_at = Timestamp{Timestamp::duration{row.integer(9)}};
    m.sequence = row.integer(10);
    m.replays = static_cast<int>(row.integer(11));
    delivery.replay = m.replays > 0;
    return delivery;
}

}  // namespace txm::local::detail
