#include "stores/sqlite/lanes.hpp"

#include "stores/sqlite/schema.hpp"

namespace txm::sqlite::detail {

Lanes::Lanes(Connection& connection, std::string_view outbox_table)
    : connection_(connection), table_(outbox_table), source_(outbox_source(outbox_table)) {}

void Lanes::block(const AggregateId& aggregate_id, Sequence from, int attempts, std::optional<Timestamp> next_attempt,
                  std::string_view reason) {
    Query query = connection_.prepare(
        "insert into txm_lane (outbox, aggregate_id, from_sequence, attempts, next_attempt_at, reason, decided_at) "
        "values (?1, ?2, ?3, ?4, ?5, ?6, ?7) on conflict (outbox, aggregate_id) do update set from_sequence = "
        "excluded.from_sequence, attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at, "
        "reason = excluded.reason, decided_at = excluded.decided_at");
    query.bind(1, table_).bind(2, aggregate_id.str()).bind(3, from).bind(4, std::int64_t{attempts});
    if (next_attempt)
        query.bind(5, *next_attempt);
    else
        query.bind_null(5);
    query.bind(6, reason).bind(7, now()).run();
}

void Lanes::free(std::string_view aggregate_id) {
    connection_
        .prepare(
            "update txm_dead_letter set held = 0 where source = ?1 and consumer = '' and aggregate_id = ?2 and held = "
            "1")
        .bind(1, source_)
        .bind(2, aggregate_id)
        .run();
    go_on(aggregate_id);
}

void Lanes::put_back(std::string_view aggregate_id, Sequence sequence) {
    connection_
        .prepare(
            "insert into txm_lane (outbox, aggregate_id, from_sequence, attempts, next_attempt_at, reason) "
            "values (?1, ?2, ?3, 0, ?4, 'sent again by an operator') on conflict (outbox, aggregate_id) do update set "
            "from_sequence = min(from_sequence, excluded.from_sequence), attempts = 0")
        .bind(1, table_)
        .bind(2, aggregate_id)
        .bind(3, sequence)
        .bind(4, now())
        .run();
    go_on(aggregate_id);
}

void Lanes::go_on(std::string_view aggregate_id) {
    connection_
        .prepare(
            "update txm_lane set next_attempt_at = ?3, decided_at = ?3 where outbox = ?1 and aggregate_id = ?2 and "
            "not exists (select 1 from txm_dead_letter where source = ?4 and consumer = '' and aggregate_id = ?2 and "
            "held = 1)")
        .bind(1, table_)
        .bind(2, aggregate_id)
        .bind(3, now())
        .bind(4, source_)
        .run();
}

void Lanes::mend_times() {
    connection_
        .prepare(
            "update txm_lane set next_attempt_at = ?2, decided_at = ?2 where outbox = ?1 and next_attempt_at > ?2 and "
            "decided_at > ?2")
        .bind(1, table_)
        .bind(2, now())
        .run();
}

void Lanes::end(std::string_view aggregate_id) {
    connection_
        .prepare(
            "delete from txm_lane where outbox = ?1 and aggregate_id = ?2 and next_attempt_at is not null and not "
            "exists "
            "(select 1 from \"" +
            table_ + "\" where state = 2 and aggregate_id = ?2)")
        .bind(1, table_)
        .bind(2, aggregate_id)
        .run();
}

void Lanes::add_dead_letter(std::string_view message_id, std::string_view aggregate_id, std::string_view topic,
                            Sequence sequence, int attempts, bool held, std::string_view reason) {
    connection_
        .prepare(
            "insert into txm_dead_letter (source, message_id, reason, dead_at, attempts, held, topic, aggregate_id, "
            "sequence) "
            "values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) on conflict (source, consumer, message_id) do update set "
            "reason = excluded.reason, dead_at = excluded.dead_at, attempts = excluded.attempts, held = excluded.held, "
            "skipped = 0")
        .bind(1, source_)
        .bind(2, message_id)
        .bind(3, reason)
        .bind(4, now())
        .bind(5, std::int64_t{attempts})
        .bind(6, std::int64_t{held})
        .bind(7, topic)
        .bind(8, aggregate_id)
        .bind(9, sequence)
        .run();
}

void Lanes::skip(std::string_view message_id, std::string_view aggregate_id, std::string_view topic, Sequence sequence,
                 int attempts) {
    add_dead_letter(message_id, aggregate_id, topic, sequence, attempts, false, skipped_reason);
    connection_
        .prepare("update txm_dead_letter set skipped = 1 where source = ?1 and consumer = '' and message_id = ?2")
        .bind(1, source_)
        .bind(2, message_id)
        .run();
}

void Lanes::remove_dead_letter(std::string_view message_id) {
    connection_.prepare("delete from txm_dead_letter where source = ?1 and consumer = '' and message_id = ?2")
        .bind(1, source_)
        .bind(2, message_id)
        .run();
}

}  // namespace txm::sqlite::detail
