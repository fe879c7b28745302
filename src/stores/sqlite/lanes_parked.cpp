#include "stores/sqlite/lanes_parked.hpp"

#include "core/headers_json.hpp"
#include "stores/sqlite/schema.hpp"

namespace txm::sqlite::detail {
namespace {

// Binds `time`, or null when it is not known.
void bind_known(Query& query, int index, Timestamp time) {
    if (time == Timestamp{})
        query.bind_null(index);
    else
        query.bind(index, time);
}

// Binds the columns topic, type, aggregate_id, correlation_id, payload, headers, created_at, stored_at, sequence,
// partition, position from `first` on. `headers` must live until the query is done.
void bind_message(Query& query, int first, const Delivery& delivery, const std::string& headers) {
    const StoredMessage& message = delivery.message;
    query.bind(first, message.topic)
        .bind(first + 1, message.type)
        .bind(first + 2, message.aggregate_id.str())
        .bind(first + 3, message.correlation_id)
        .bind(first + 4, message.payload)
        .bind(first + 5, headers);
    bind_known(query, first + 6, message.created_at);
    bind_known(query, first + 7, message.stored_at);
    query.bind(first + 8, message.sequence)
        .bind(first + 9, std::int64_t{delivery.partition})
        .bind(first + 10, delivery.position);
}

constexpr const char* message_columns =
    "topic, type, aggregate_id, correlation_id, payload, headers, created_at, stored_at, sequence, partition, position";

}  // namespace

ParkedLanes::ParkedLanes(Connection& connection, std::string_view inbox_table, std::string_view consumer)
    : connection_(connection), inbox_(inbox_table), consumer_(consumer), source_(inbox_source(inbox_table)) {}

void ParkedLanes::keep(const Delivery& delivery) {
    const std::string headers = txm::detail::headers_to_json(delivery.message.headers);
    Query query = connection_.prepare(
        "insert into txm_parked (inbox, consumer, message_id, attempts, replays, replay, topic, type, aggregate_id, "
        "correlation_id, "
        "payload, headers, created_at, stored_at, sequence, partition, position) "
        "values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) "
        "on conflict (inbox, consumer, message_id) do update set attempts = max(attempts, "
        "excluded.attempts), replay = max(replay, excluded.replay)");
    query.bind(1, inbox_)
        .bind(2, consumer_)
        .bind(3, delivery.message.message_id)
        .bind(4, std::int64_t{delivery.attempt});
    query.bind(5, std::int64_t{delivery.message.replays}).bind(6, std::int64_t{delivery.replay});
    bind_message(query, 7, delivery, headers);
    query.run();
}

void ParkedLanes::remove(std::string_view message_id, bool replay_too) {
    connection_
        .prepare("delete from txm_parked where inbox = ?1 and consumer = ?2 and message_id = ?3 and replay <= ?4")
        .bind(1, inbox_)
        .bind(2, consumer_)
        .bind(3, message_id)
        .bind(4, std::int64_t{replay_too})
        .run();
}

void ParkedLanes::block(const Delivery& delivery, Timestamp next_attempt, std::string_view reason) {
    Query query = connection_.prepare(
        "insert into txm_parked_lane (inbox, consumer, topic, aggregate_id, next_attempt_at, reason) "
        "values (?1, ?2, ?3, ?4, ?5, ?6) on conflict (inbox, consumer, topic, aggregate_id) do update set "
        "next_attempt_at = excluded.next_attempt_at, reason = excluded.reason where next_attempt_at is not null and "
        "?7");
    query.bind(1, inbox_)
        .bind(2, consumer_)
        .bind(3, delivery.message.topic)
        .bind(4, delivery.message.aggregate_id.str());
    // One that was not tried is a redelivery of what is kept: it makes nothing due.
    const bool is_news = delivery.attempt > 0 && is_first(delivery);
    query.bind(5, next_attempt).bind(6, reason).bind(7, std::int64_t{is_news}).run();
}

bool ParkedLanes::is_first(const Delivery& delivery) {
    Query query = connection_.prepare(
        "select message_id = ?5 from txm_parked where inbox = ?1 and consumer = ?2 and topic = ?3 and aggregate_id = "
        "?4 "
        "order by sequence, position, id limit 1");
    query.bind(1, inbox_)
        .bind(2, consumer_)
        .bind(3, delivery.message.topic)
        .bind(4, delivery.message.aggregate_id.str());
    return query.bind(5, delivery.message.message_id).step() && query.integer(0) != 0;
}

bool ParkedLanes::has_parked(const ConsumerLane& lane) {
    Query query = connection_.prepare(
        "select 1 from txm_parked where inbox = ?1 and consumer = ?2 and topic = ?3 and aggregate_id = ?4 limit 1");
    return query.bind(1, inbox_).bind(2, consumer_).bind(3, lane.topic).bind(4, lane.aggregate_id).step();
}

void ParkedLanes::hold(const ConsumerLane& lane, std::string_view reason) {
    connection_
        .prepare(
            "insert into txm_parked_lane (inbox, consumer, topic, aggregate_id, next_attempt_at, reason) "
            "values (?1, ?2, ?3, ?4, null, ?5) on conflict (inbox, consumer, topic, aggregate_id) do update set "
            "next_attempt_at = null, reason = excluded.reason")
        .bind(1, inbox_)
        .bind(2, consumer_)
        .bind(3, lane.topic)
        .bind(4, lane.aggregate_id)
        .bind(5, reason)
        .run();
}

void ParkedLanes::set_due(const ConsumerLane& lane, bool held_too) {
    if (has_parked(lane)) {
        connection_
            .prepare(
                "update txm_parked_lane set next_attempt_at = ?5 where inbox = ?1 and consumer = ?2 and topic = ?3 and "
                "aggregate_id = ?4 and (next_attempt_at is not null or ?6)")
            .bind(1, inbox_)
            .bind(2, consumer_)
            .bind(3, lane.topic)
            .bind(4, lane.aggregate_id)
            .bind(5, now())
            .bind(6, std::int64_t{held_too})
            .run();
        return;
    }
    connection_
        .prepare(
            "delete from txm_parked_lane where inbox = ?1 and consumer = ?2 and topic = ?3 and aggregate_id = ?4 and "
            "(next_attempt_at is not null or ?5)")
        .bind(1, inbox_)
        .bind(2, consumer_)
        .bind(3, lane.topic)
        .bind(4, lane.aggregate_id)
        .bind(5, std::int64_t{held_too})
        .run();
}

void ParkedLanes::go_on(const ConsumerLane& lane) {
    set_due(lane, false);
}

void ParkedLanes::decided(const ConsumerLane& lane) {
    bool is_held = false;
    {
        Query query = connection_.prepare(
            "select 1 from txm_dead_letter where source = ?1 and consumer = ?2 and aggregate_id = ?3 and held = 1 and "
            "topic = ?4");
        is_held = query.bind(1, source_).bind(2, consumer_).bind(3, lane.aggregate_id).bind(4, lane.topic).step();
    }
    if (is_held)
        return;
    if (has_parked(lane)) {
        connection_
            .prepare(
                "insert or ignore into txm_parked_lane (inbox, consumer, topic, aggregate_id, next_attempt_at, reason) "
                "values (?1, ?2, ?3, ?4, ?5, 'sent again by an operator')")
            .bind(1, inbox_)
            .bind(2, consumer_)
            .bind(3, lane.topic)
            .bind(4, lane.aggregate_id)
            .bind(5, now())
            .run();
    }
    set_due(lane, true);
}

void ParkedLanes::add_dead_letter(std::string_view message_id, const Delivery& delivery, std::string_view reason,
                                  bool held) {
    const std::string headers = txm::detail::headers_to_json(delivery.message.headers);
    Query query = connection_.prepare(
        "insert into txm_dead_letter (source, consumer, message_id, reason, dead_at, attempts, held, topic, type, "
        "aggregate_id, "
        "correlation_id, payload, headers, created_at, stored_at, sequence, partition, position) "
        "values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18) "
        "on conflict (source, consumer, message_id) do update set reason = excluded.reason, dead_at = "
        "excluded.dead_at, "
        "attempts = excluded.attempts, held = excluded.held");
    query.bind(1, source_).bind(2, consumer_).bind(3, message_id).bind(4, reason).bind(5, now());
    query.bind(6, std::int64_t{delivery.attempt}).bind(7, std::int64_t{held});
    bind_message(query, 8, delivery, headers);
    query.run();
}

void ParkedLanes::remove_dead_letter(std::string_view message_id) {
    connection_.prepare("delete from txm_dead_letter where source = ?1 and consumer = ?2 and message_id = ?3")
        .bind(1, source_)
        .bind(2, consumer_)
        .bind(3, message_id)
        .run();
}

void ParkedLanes::replay_dead_letter(std::string_view message_id) {
    connection_
        .prepare("insert into txm_parked (inbox, consumer, message_id, attempts, replay, " +
                 std::string(message_columns) +
                 ") select ?4, consumer, message_id, 0, 1, coalesce(topic, ''), type, coalesce(aggregate_id, ''), "
                 "correlation_id, "
                 "coalesce(payload, ''), coalesce(headers, '{}'), created_at, stored_at, coalesce(sequence, 0), "
                 "coalesce(partition, 0), coalesce(position, 0) from txm_dead_letter where source = ?1 and consumer = "
                 "?2 and "
                 "message_id = ?3 on conflict (inbox, consumer, message_id) do update set attempts = 0, replay = 1")
        .bind(1, source_)
        .bind(2, consumer_)
        .bind(3, message_id)
        .bind(4, inbox_)
        .run();
    remove_dead_letter(message_id);
}

void ParkedLanes::replay_parked(std::string_view message_id) {
    connection_.prepare("update txm_parked set attempts = 0 where inbox = ?1 and consumer = ?2 and message_id = ?3")
        .bind(1, inbox_)
        .bind(2, consumer_)
        .bind(3, message_id)
        .run();
}

}  // namespace txm::sqlite::detail
