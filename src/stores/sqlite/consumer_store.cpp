#include "stores/sqlite/consumer_store_purge.hpp"
#include "stores/sqlite/feed_row.hpp"
#include "stores/sqlite/lanes_parked.hpp"
#include "stores/sqlite/schema.hpp"

#include "core/fault_point.hpp"
#include "sqlite/database_impl.hpp"
#include "sqlite/lease.hpp"
#include "txm/error.hpp"
#include "txm/sqlite_feed.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace txm::sqlite {

using namespace detail;

namespace {

constexpr std::chrono::seconds lease_term{10};

ConsumerLane lane_of(const Delivery& delivery) {
    return {delivery.message.topic, delivery.message.aggregate_id.str()};
}

}  // namespace

class ConsumerStore::Impl : public std::enable_shared_from_this<ConsumerStore::Impl> {
public:
    Impl(Database& db, std::string consumer, std::string inbox_table)
        : db_(db.impl()), consumer_(std::move(consumer)), inbox_(std::move(inbox_table)), purge_(inbox_, consumer_) {
        check_table_name(inbox_);
        const std::string columns{kept_message_columns};
        // One statement, so that the lanes and their heads are of one moment: between two, a lane's head may become a dead
        // letter that holds the lane, and the next one would be taken for the head of a lane that is due.
        due_heads_ =
            "with due as materialized (select (select id from txm_parked p where p.inbox = l.inbox and "
            "p.consumer = l.consumer and p.topic = l.topic and p.aggregate_id = l.aggregate_id "
            "order by sequence, position, id limit 1) as head from txm_parked_lane l "
            "where inbox = ?1 and consumer = ?2 and next_attempt_at <= ?3 order by next_attempt_at limit ?4) "
            "select " +
            columns + ", attempts, replays, replay from due cross join txm_parked on id = head";
        decided_ = "select state from \"" + inbox_ + "\" where consumer = ?1 and message_id = ?2";
        decide_ = "insert into \"" + inbox_ +
                  "\" (consumer, message_id, state, created_at, stored_at, payload_hash) "
                  "values (?1, ?2, 1, ?3, ?4, ?5)";
    }

    awaitable<std::vector<bool>> is_parked(std::span<const Delivery> deliveries);
    awaitable<void> park(std::span<const Delivery> deliveries, Timestamp next_attempt, std::string reason);
    awaitable<std::vector<Delivery>> take_parked(std::size_t max);
    awaitable<void> unpark(const Delivery& delivery);
    awaitable<int> begin_attempt(const Delivery& delivery, bool is_alone);
    awaitable<void> end_attempt(const Delivery& delivery);
    awaitable<void> dead_letter(const Incoming& incoming, const Delivery& delivery, std::string why, bool hold);
    awaitable<Timestamp> purged_to();
    awaitable<std::size_t> purge_inbox(std::chrono::seconds retention, std::size_t limit);
    awaitable<bool> lease(std::string what);
    awaitable<void> release();

private:
    struct HeldLease {
        HeldLease(DatabaseImpl& db, const std::string& name) : lease(db.writer(), db.path, name, lease_term) {}
        Lease lease;
        bool is_busy = false;
    };

    ParkedLanes lanes(Connection& connection) const { return {connection, inbox_, consumer_}; }
    void decide_dead(Connection& connection, const Incoming& incoming, const Delivery& delivery, const std::string& why,
                     bool hold) const;
    void forget_attempts(Connection& connection, const std::string& message_id) const;
    std::vector<Delivery> due_heads(Connection& connection, std::size_t max) const;

    DatabaseImpl& db_;
    const std::string consumer_, inbox_;
    const InboxPurge purge_;
    std::string due_heads_, decided_, decide_;

    std::mutex mutex_;  // for what follows; never held while anything is waited for
    std::map<std::string, std::shared_ptr<HeldLease>, std::less<>> leases_;
};

awaitable<std::vector<bool>> ConsumerStore::Impl::is_parked(std::span<const Delivery> deliveries) {
    std::vector<ConsumerLane> asked;
    asked.reserve(deliveries.size());
    for (const Delivery& delivery : deliveries)
        asked.push_back(lane_of(delivery));
    auto work = [self = shared_from_this(), asked = std::move(asked)](Connection& connection) {
        std::vector<bool> answers(asked.size(), false);
        {
            Query any = connection.prepare("select 1 from txm_parked_lane where inbox = ?1 and consumer = ?2 limit 1");
            if (!any.bind(1, self->inbox_).bind(2, self->consumer_).step())
                return answers;
        }
        Query query = connection.prepare(
            "select 1 from txm_parked_lane where inbox = ?1 and consumer = ?2 and topic = ?3 and aggregate_id = ?4");
        for (std::size_t i = 0; i < asked.size(); ++i) {
            query.bind(1, self->inbox_).bind(2, self->consumer_).bind(3, asked[i].topic).bind(4, asked[i].aggregate_id);
            answers[i] = query.step();
            query.reset();
        }
        return answers;
    };
    co_return co_await db_.readers().run(std::move(work));
}

awaitable<void> ConsumerStore::Impl::park(std::span<const Delivery> deliveries, Timestamp next_attempt,
                                          std::string reason) {
    auto work = [self = shared_from_this(), kept = std::vector<Delivery>(deliveries.begin(), deliveries.end()),
                 next_attempt, reason = std::move(reason)](Connection& connection) {
        fault::point("consumer_store.park");
        ParkedLanes lanes = self->lanes(connection);
        for (const Delivery& delivery : kept) {
            lanes.keep(delivery);
            lanes.block(delivery, next_attempt, reason);
        }
    };
    co_await db_.writer().transact_quietly(std::move(work));
    fault::point("consumer_store.parked");
}

std::vector<Delivery> ConsumerStore::Impl::due_heads(Connection& connection, std::size_t max) const {
    std::vector<Delivery> heads;
    Query query = connection.prepare(due_heads_);
    query.bind(1, inbox_).bind(2, consumer_).bind(3, now()).bind(4, static_cast<std::int64_t>(max));
    while (query.step()) {
        Delivery delivery;
        delivery.message = read_kept_message(query);
        delivery.partition = static_cast<int>(query.integer(10));
        delivery.position = query.integer(11);
        delivery.attempt = static_cast<int>(query.integer(kept_message_width));
        delivery.message.replays = static_cast<int>(query.integer(kept_message_width + 1));
        delivery.replay = query.integer(kept_message_width + 2) != 0;
        delivery.redelivered = true;
        heads.push_back(std::move(delivery));
    }
    return heads;
}

awaitable<std::vector<Delivery>> ConsumerStore::Impl::take_parked(std::size_t max) {
    auto work = [self = shared_from_this(), max](Connection& connection) { return self->due_heads(connection, max); };
    co_return co_await db_.readers().run(std::move(work));
}

awaitable<void> ConsumerStore::Impl::unpark(const Delivery& delivery) {
    auto work = [self = shared_from_this(), id = delivery.message.message_id.to_string(), is_replay = delivery.replay,
                 lane = lane_of(delivery)](Connection& connection) {
        fault::point("consumer_store.unpark");
        ParkedLanes lanes = self->lanes(connection);
        lanes.remove(id, is_replay);
        lanes.go_on(lane);
    };
    co_await db_.writer().transact_quietly(std::move(work));
    fault::point("consumer_store.unparked");
}

awaitable<int> ConsumerStore::Impl::begin_attempt(const Delivery& delivery, bool is_alone) {
    auto work = [self = shared_from_this(), id = delivery.message.message_id, is_alone](Connection& connection) {
        fault::point("consumer_store.begin_attempt");
        int unfinished = 0;
        {
            Query row = connection.prepare(
                "select unfinished from txm_attempt where inbox = ?1 and consumer = ?2 and message_id = ?3");
            if (row.bind(1, self->inbox_).bind(2, self->consumer_).bind(3, id).step())
                unfinished = static_cast<int>(row.integer(0));
        }
        if (unfinished == 0 || is_alone)
            connection
                .prepare(
                    "insert into txm_attempt (inbox, consumer, message_id, unfinished, began_at) values (?1, ?2, ?3, "
                    "1, "
                    "?4) on conflict (inbox, consumer, message_id) do update set unfinished = unfinished + 1, "
                    "began_at = excluded.began_at")
                .bind(1, self->inbox_)
                .bind(2, self->consumer_)
                .bind(3, id)
                .bind(4, now())
                .run();
        return unfinished;
    };
    const int unfinished = co_await db_.writer().transact_quietly(std::move(work));
    fault::point("consumer_store.attempt_begun");
    co_return unfinished;
}

awaitable<void> ConsumerStore::Impl::end_attempt(const Delivery& delivery) {
    auto work = [self = shared_from_this(), id = delivery.message.message_id](Connection& connection) {
        fault::point("consumer_store.end_attempt");
        self->forget_attempts(connection, id.to_string());
    };
    co_await db_.writer().transact_quietly(std::move(work));
    fault::point("consumer_store.attempt_ended");
}

void ConsumerStore::Impl::forget_attempts(Connection& connection, const std::string& message_id) const {
    connection.prepare("delete from txm_attempt where inbox = ?1 and consumer = ?2 and message_id = ?3")
        .bind(1, inbox_)
        .bind(2, consumer_)
        .bind(3, message_id)
        .run();
}

awaitable<void> ConsumerStore::Impl::dead_letter(const Incoming& incoming, const Delivery& delivery, std::string why,
                                                 bool hold) {
    auto work = [self = shared_from_this(), incoming, delivery, why = std::move(why), hold](Connection& connection) {
        fault::point("consumer_store.dead_letter");
        self->decide_dead(connection, incoming, delivery, why, hold);
    };
    co_await db_.writer().transact_quietly(std::move(work));
    fault::point("consumer_store.dead_lettered");
}

void ConsumerStore::Impl::decide_dead(Connection& connection, const Incoming& incoming, const Delivery& delivery,
                                      const std::string& why, bool hold) const {
    const std::string& consumer = incoming.consumer.empty() ? consumer_ : incoming.consumer;
    // A message without an id has no inbox row, and two of them must not become one dead letter.
    const bool has_id = !incoming.message_id.is_nil();
    const std::string message_id = (has_id ? incoming.message_id : new_uuid()).to_string();
    bool is_new = true;
    if (has_id) {
        Query row = connection.prepare(decided_);
        if (row.bind(1, consumer).bind(2, message_id).step()) {
            if (row.integer(0) != static_cast<int>(InboxState::dead))
                throw MessageAlreadyProcessedError(incoming.message_id);
            is_new = false;
        }
    }
    if (has_id && is_new) {
        Query row = connection.prepare(decide_);
        row.bind(1, consumer).bind(2, message_id).bind(3, now());
        if (incoming.stored_at)
            row.bind(4, *incoming.stored_at);
        if (incoming.payload_hash)
            row.bind(5, static_cast<std::int64_t>(*incoming.payload_hash));
        row.run();
    }
    forget_attempts(connection, message_id);
    ParkedLanes lanes = this->lanes(connection);
    // Decided before, and delivered again because the acknowledgement was lost: an operator may have freed the lane, or sent
    // the message again, since.
    const bool is_repeated = !is_new && !incoming.replay && !delivery.replay;
    lanes.remove(message_id, !is_repeated);
    if (!is_repeated)
        lanes.add_dead_letter(message_id, delivery, why, hold);
    if (!is_repeated && hold)
        lanes.hold(lane_of(delivery), why);
    else
        lanes.go_on(lane_of(delivery));
}

awaitable<Timestamp> ConsumerStore::Impl::purged_to() {
    auto work = [self = shared_from_this()](Connection& connection) {
        const std::string key = purged_to_key(self->inbox_, self->consumer_);
        Query row = connection.prepare("select value from txm_meta where key = ?1");
        return row.bind(1, key).step() ? row.time(0) : Timestamp{};
    };
    co_return co_await db_.readers().run(std::move(work));
}

awaitable<std::size_t> ConsumerStore::Impl::purge_inbox(std::chrono::seconds retention, std::size_t limit) {
    if (retention <= std::chrono::seconds{0})
        co_return 0;
    auto work = [self = shared_from_this(), cutoff = now() - retention, limit](Connection& connection) {
        fault::point("consumer_store.purge");
        return self->purge_.run(connection, cutoff, limit);
    };
    const std::size_t deleted = co_await db_.writer().transact_quietly(std::move(work));
    fault::point("consumer_store.purged");
    co_return deleted;
}

awaitable<bool> ConsumerStore::Impl::lease(std::string what) {
    std::shared_ptr<HeldLease> held;
    {
        const std::lock_guard lock{mutex_};
        std::shared_ptr<HeldLease>& known = leases_[what];
        if (!known)
            known = std::make_shared<HeldLease>(db_, inbox_source(inbox_) + ":" + consumer_ + ":" + what);
        held = known;
        if (held->is_busy)  // another coroutine asks at this moment; what it finds out counts next time
            co_return held->lease.is_held();
        held->is_busy = true;
    }
    std::exception_ptr failure;
    bool is_ours = false;
    try {
        const std::optional<Fence> fence = co_await held->lease.take();
        is_ours = fence.has_value();
    } catch (...) {
        failure = std::current_exception();
    }
    {
        const std::lock_guard lock{mutex_};
        held->is_busy = false;
    }
    if (failure)
        std::rethrow_exception(failure);
    co_return is_ours;
}

awaitable<void> ConsumerStore::Impl::release() {
    std::vector<std::shared_ptr<HeldLease>> held;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [what, lease] : leases_)
            held.push_back(lease);
        leases_.clear();
    }
    for (const std::shared_ptr<HeldLease>& lease : held)
        co_await lease->lease.release();
}

ConsumerStore::ConsumerStore(Database& db, std::string consumer, std::string inbox_table)
    : impl_(std::make_shared<Impl>(db, std::move(consumer), std::move(inbox_table))) {}

ConsumerStore::~ConsumerStore() = default;

awaitable<std::vector<bool>> ConsumerStore::is_parked(std::span<const Delivery> deliveries) {
    return impl_->is_parked(deliveries);
}

awaitable<void> ConsumerStore::park(std::span<const Delivery> deliveries, Timestamp next_attempt, std::string reason) {
    return impl_->park(deliveries, next_attempt, std::move(reason));
}

awaitable<std::vector<Delivery>> ConsumerStore::take_parked(std::size_t max) {
    return impl_->take_parked(max);
}

awaitable<void> ConsumerStore::unpark(const Delivery& delivery) {
    return impl_->unpark(delivery);
}

awaitable<int> ConsumerStore::begin_attempt(const Delivery& delivery, bool is_alone) {
    return impl_->begin_attempt(delivery, is_alone);
}

awaitable<void> ConsumerStore::end_attempt(const Delivery& delivery) {
    return impl_->end_attempt(delivery);
}

awaitable<void> ConsumerStore::dead_letter(const Incoming& incoming, const Delivery& delivery, std::string why,
                                           bool hold) {
    return impl_->dead_letter(incoming, delivery, std::move(why), hold);
}

awaitable<Timestamp> ConsumerStore::purged_to() {
    return impl_->purged_to();
}

awaitable<std::size_t> ConsumerStore::purge_inbox(std::chrono::seconds retention, std::size_t limit) {
    return impl_->purge_inbox(retention, limit);
}

awaitable<bool> ConsumerStore::lease(std::string what) {
    return impl_->lease(std::move(what));
}

awaitable<void> ConsumerStore::release() {
    return impl_->release();
}

}  // namespace txm::sqlite
