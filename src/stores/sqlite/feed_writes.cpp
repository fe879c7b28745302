#include "stores/sqlite/feed_writes.hpp"

#include "stores/sqlite/lanes.hpp"

#include <algorithm>

namespace txm::sqlite::detail {
namespace {

constexpr std::int64_t max_deleted_at_once = 1000;

// One statement for neighbours is a third cheaper than one each; longer runs gain nothing more.
constexpr std::size_t max_settled_at_once = 32;

// How many of the first sequences follow each other without a gap.
std::size_t length_of_run(std::span<const Sequence> sequences) {
    std::size_t length = 1;
    while (length < std::min(sequences.size(), max_settled_at_once) && sequences[length] == sequences[length - 1] + 1)
        ++length;
    return length;
}

}  // namespace

Settlements::Settlements(std::span<const Outcome> outcomes) {
    dispatched.reserve(outcomes.size());
    for (const Outcome& outcome : outcomes) {
        if (outcome.settlement == Settlement::dispatched)
            dispatched.push_back(outcome.sequence);
        else
            dead.push_back(outcome);
    }
    std::ranges::sort(dispatched);
}

FeedWrites::FeedWrites(const std::string& table, bool delete_dispatched)
    : table_(table), delete_dispatched_(delete_dispatched) {
    const std::string update = "update \"" + table + "\" set ";
    const std::string count = "approximate_dispatch_count = approximate_dispatch_count + 1, last_dispatched_at = ?2 ";
    delete_ = "delete from \"" + table + "\" where sequence = ?1";
    // By the primary key alone: this is what the throughput of a relay hangs on.
    const std::string run = "where sequence between ?1 and ?3 and state in (0, 2)";
    dispatched_ = delete_dispatched ? "delete from \"" + table + "\" " + run : update + "state = 1, " + count + run;
    is_settled_ = "select 1 from \"" + table + "\" where sequence = ?1 and state = 1 and last_dispatched_at = ?2";
    dispatched_anyway_ = update + "state = 1, " + count + "where sequence = ?1";
    find_ = "select message_id, topic, state from \"" + table + "\" where sequence = ?1";
    name_ = update + "message_id = ?2 where sequence = ?1";
    dead_ = update + "state = 3, attempts = ?2 where sequence = ?1";
    park_head_ = update + "state = 2, attempts = ?2 where sequence = ?1 and state in (0, 2)";
    park_given_ = update + "state = 2 where sequence = ?1 and state = 0 and aggregate_id = ?2";
    attempts_ = update + "attempts = ?2 where sequence = ?1";
    park_pending_ =
        update +
        "state = 2 where sequence = ?1 and state = 0 and exists (select 1 from txm_lane l where l.outbox = ?2 "
        "and l.aggregate_id = \"" +
        table + "\".aggregate_id)";
    is_pending_ = "select 1 from \"" + table + "\" where sequence = ?1 and state = 0";
    old_ = "select sequence, state, stored_at, coalesce(last_dispatched_at, stored_at) from \"" + table +
           "\" where sequence > ?1 order by sequence limit ?2";
}

void FeedWrites::settle(Connection& connection, const Settlements& settlements) const {
    const std::string time = to_iso8601(now());
    for (std::span<const Sequence> rest{settlements.dispatched}; !rest.empty();) {
        const std::span<const Sequence> run = rest.first(length_of_run(rest));
        rest = rest.subspan(run.size());
        Query query = connection.prepare(dispatched_);
        query.bind(1, run.front()).bind(3, run.back());
        if (!delete_dispatched_)
            query.bind(2, time);
        if (query.run() != run.size())
            settle_unexpected_of(connection, run, time);
    }
    if (settlements.dead.empty())
        return;
    Lanes lanes{connection, table_};
    for (const Outcome& outcome : settlements.dead) {
        const bool held = outcome.settlement == Settlement::held;
        std::string message_id, topic;
        {
            Query row = connection.prepare(find_);
            if (!row.bind(1, outcome.sequence).step() || row.integer(2) == 3)
                continue;  // gone, or given up by an operator meanwhile
            message_id = row.text(0);
            topic = row.text(1);
        }
        // Without an id of its own nobody could name the dead letter, to skip it or to send it again.
        const std::optional<Uuid> id = Uuid::try_parse(message_id);
        if (!id || id->is_nil()) {
            message_id = new_uuid().to_string();
            connection.prepare(name_).bind(1, outcome.sequence).bind(2, message_id).run();
        }
        connection.prepare(dead_).bind(1, outcome.sequence).bind(2, std::int64_t{outcome.attempts}).run();
        lanes.add_dead_letter(message_id, outcome.aggregate_id.str(), topic, outcome.sequence, outcome.attempts, held,
                              outcome.reason);
        if (held)
            lanes.block(outcome.aggregate_id, outcome.sequence, outcome.attempts, std::nullopt, outcome.reason);
    }
    Query park = connection.prepare(park_pending_);
    for (const Sequence sequence : settlements.behind_held) {
        park.bind(1, sequence).bind(2, table_).run();
        park.reset();
    }
}

// Some of the rows of a run were not settled with it: those without its mark.
void FeedWrites::settle_unexpected_of(Connection& connection, std::span<const Sequence> run,
                                      std::string_view time) const {
    for (const Sequence sequence : run) {
        const bool is_settled =
            !delete_dispatched_ && connection.prepare(is_settled_).bind(1, sequence).bind(2, time).step();
        if (!is_settled)
            settle_unexpected(connection, sequence, time);
    }
}

// The row is not as the relay got it: an operator skipped it or somebody marked it while it was on its way. It was
// acknowledged, and that is what the row says now.
void FeedWrites::settle_unexpected(Connection& connection, Sequence sequence, std::string_view time) const {
    std::string message_id;
    {
        Query row = connection.prepare(find_);
        if (!row.bind(1, sequence).step())
            return;
        message_id = row.text(0);
    }
    Lanes{connection, table_}.remove_dead_letter(message_id);
    if (delete_dispatched_)
        connection.prepare(delete_).bind(1, sequence).run();
    else
        connection.prepare(dispatched_anyway_).bind(1, sequence).bind(2, time).run();
}

void FeedWrites::park(Connection& connection, const AggregateId& aggregate_id, Sequence from, int attempts,
                      Timestamp next_attempt, std::string_view reason, std::span<const Sequence> given) const {
    Lanes{connection, table_}.block(aggregate_id, from, attempts, next_attempt, reason);
    connection.prepare(park_head_).bind(1, from).bind(2, std::int64_t{attempts}).run();
    Query query = connection.prepare(park_given_);
    for (const Sequence sequence : given) {
        query.bind(1, sequence).bind(2, aggregate_id.str()).run();
        query.reset();
    }
}

void FeedWrites::unpark(Connection& connection, std::string_view aggregate_id) const {
    Lanes{connection, table_}.free(aggregate_id);
}

void FeedWrites::mark_attempts(Connection& connection, std::span<const Outcome> starting) const {
    Query query = connection.prepare(attempts_);
    for (const Outcome& outcome : starting) {
        query.bind(1, outcome.sequence).bind(2, std::int64_t{outcome.attempts}).run();
        query.reset();
    }
}

std::optional<Sequence> FeedWrites::park_pending(Connection& connection, std::span<const Sequence> sequences) const {
    std::optional<Sequence> first_free;
    Query query = connection.prepare(park_pending_);
    for (const Sequence sequence : sequences) {
        const std::size_t changed = query.bind(1, sequence).bind(2, table_).run();
        query.reset();
        if (changed == 0 && !first_free && connection.prepare(is_pending_).bind(1, sequence).step())
            first_free = sequence;
    }
    return first_free;
}

void FeedWrites::mend_times(Connection& connection) const {
    Lanes{connection, table_}.mend_times();
}

void FeedWrites::end_lanes(Connection& connection, std::span<const std::string> ended) const {
    Lanes lanes{connection, table_};
    for (const std::string& lane : ended)
        lanes.end(lane);
}

// Rows are looked at from the lowest sequence upwards. That is the order in which they were stored, so the first one that
// is too young ends the search, however many follow: nothing is scanned, and no index on the time is needed. Times that
// jumped back delay a deletion until the row before it is old enough, no more; a time in the future says nothing.
std::optional<Sequence> FeedWrites::delete_dispatched(Connection& connection, Sequence after, Timestamp cutoff) const {
    const std::string time = to_iso8601(cutoff);
    const std::string present = to_iso8601(now());
    std::vector<Sequence> old;
    std::int64_t seen = 0;
    bool is_young = false;
    {
        Query rows = connection.prepare(old_);
        rows.bind(1, after).bind(2, max_deleted_at_once);
        while (!is_young && rows.step()) {
            ++seen;
            after = rows.integer(0);
            const auto state = static_cast<MessageState>(rows.integer(1));
            const bool is_old = state == MessageState::dispatched && rows.text(3) <= time;
            if (is_old)
                old.push_back(after);
            // A dead letter may have any time: another program's damaged row must not end the search for ever.
            is_young = !is_old && state != MessageState::dead && rows.text(2) > time && rows.text(2) <= present;
        }
    }
    Query query = connection.prepare(delete_);
    for (const Sequence sequence : old) {
        query.bind(1, sequence).run();
        query.reset();
    }
    if (is_young || seen < max_deleted_at_once)
        return std::nullopt;
    return after;
}

}  // namespace txm::sqlite::detail
