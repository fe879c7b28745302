#include "txm/borrowed.hpp"

#include "core/headers_json.hpp"
#include "core/identifier.hpp"
#include "txm/error.hpp"

#include <utility>

namespace txm::borrowed {

namespace {

std::string choose(Dialect dialect, const char* sqlite, const char* postgres) {
    return dialect == Dialect::sqlite ? sqlite : postgres;
}

}  // namespace

Statement inbox_insert(Dialect dialect, std::string_view table, const Incoming& incoming) {
    std::optional<std::int64_t> hash;
    if (incoming.payload_hash)
        hash = static_cast<std::int64_t>(*incoming.payload_hash);
    return Statement{
        "insert into " + detail::quoted_identifier(table) +
            " (consumer, message_id, created_at, stored_at, payload_hash) values " +
            choose(dialect, "(?, ?, ?, ?, ?)", "($1, $2::uuid, $3::timestamptz, $4::timestamptz, $5::bigint)") +
            " on conflict do nothing",
        incoming.consumer,
        incoming.message_id,
        now(),
        incoming.stored_at,
        hash};
}

Statement outbox_insert(Dialect dialect, std::string_view table, const StoredMessage& message) {
    std::optional<std::string> type;
    if (!message.type.empty())
        type = message.type;
    return Statement{
        "insert into " + detail::quoted_identifier(table) +
            " (message_id, topic, type, aggregate_id, correlation_id, payload, headers, created_at) values " +
            choose(dialect, "(?, ?, ?, ?, ?, ?, ?, ?)",
                   "($1::uuid, $2, $3, $4, $5::uuid, $6, $7::jsonb, $8::timestamptz)") +
            " on conflict (message_id) do nothing",
        message.message_id,
        message.topic,
        type,
        message.aggregate_id,
        message.correlation_id,
        message.payload,
        detail::headers_to_json(message.headers),
        message.created_at};
}

OutboxRepository::OutboxRepository(std::string_view table, Dialect dialect, Execute execute, TopicMap topics)
    : OutboxWriter(std::move(topics)),
      table_(detail::checked_identifier(table)),
      dialect_(dialect),
      execute_(std::move(execute)) {}

void OutboxRepository::stage(std::vector<Staged> batch) {
    for (const Staged& staged : batch) {
        if (execute_(outbox_insert(dialect_, table_, staged.message)) == 0)
            throw MessageAlreadyPublishedError(staged.message.message_id);
    }
}

InboxRepository::InboxRepository(std::string_view table, Dialect dialect, Execute execute, std::string consumer)
    : table_(detail::checked_identifier(table)),
      dialect_(dialect),
      execute_(std::move(execute)),
      consumer_(std::move(consumer)) {}

void InboxRepository::save(const Incoming& incoming) {
    Incoming mine = incoming;
    if (mine.consumer.empty())
        mine.consumer = consumer_;
    if (execute_(inbox_insert(dialect_, table_, mine)) == 0)
        throw MessageAlreadyProcessedError(incoming.message_id);
}

void ensure_idempotence(const Incoming& incoming, InboxRepository& inbox) {
    inbox.save(incoming);
}

}  // namespace txm::borrowed
