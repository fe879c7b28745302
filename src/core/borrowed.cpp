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
    const Timestamp handled_at = now();
    // When it was sent is not known: then it counts as sent now, so that a purge will find it.
    const Timestamp stored_at = incoming.stored_at.value_or(handled_at);
    std::optional<std::int64_t> hash;
    if (incoming.payload_hash)
        hash = static_cast<std::int64_t>(*incoming.payload_hash);
    std::string sql = "insert into " + detail::quoted_identifier(table) +
                      " (consumer, message_id, created_at, stored_at, payload_hash) ";
    if (dialect == Dialect::postgres)
        return Statement{
            sql + "values ($1, $2::uuid, $3::timestamptz, $4::timestamptz, $5::bigint) on conflict do nothing",
            incoming.consumer,
            incoming.message_id,
            handled_at,
            stored_at,
            hash};
    const std::string purged_to = "purged_to/" + std::string(table) + "/" + incoming.consumer;
    return Statement{sql +
                         "select ?, ?, ?, ?, ? where not exists (select 1 from txm_meta where key = ? and value >= ?)"
                         " on conflict do nothing",
                     incoming.consumer,
                     incoming.message_id,
                     handled_at,
                     stored_at,
                     hash,
                     purged_to,
                     stored_at};
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
    const std::string name = detail::quoted_identifier(table_);
    const std::string key =
        choose(dialect_, " where consumer = ? and message_id = ?", " where consumer = $1 and message_id = $2::uuid");
    // A replay flips a dead letter. Where there is none, it is as much a stranger as any other.
    if (mine.replay && execute_(Statement{"update " + name + " set state = 0" + key + " and state = 1", mine.consumer,
                                          mine.message_id}) == 1)
        return;
    if (execute_(inbox_insert(dialect_, table_, mine)) == 1)
        return;
    // The row is there, or the message is so old that it may have been: an update that changes nothing tells.
    if (execute_(Statement{"update " + name + " set state = state" + key, mine.consumer, mine.message_id}) == 0)
        throw OutsideInboxWindowError(mine.message_id);
    throw MessageAlreadyProcessedError(mine.message_id);
}

void ensure_idempotence(const Incoming& incoming, InboxRepository& inbox) {
    inbox.save(incoming);
}

}  // namespace txm::borrowed
