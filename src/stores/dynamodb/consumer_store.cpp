#include "core/fault_point.hpp"
#include "stores/dynamodb/consumer_store_attempts.hpp"
#include "stores/dynamodb/consumer_store_delivery.hpp"
#include "stores/dynamodb/consumer_store_inbox.hpp"
#include "stores/dynamodb/consumer_store_lanes.hpp"
#include "stores/dynamodb/consumer_store_leases.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/inbox_row.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/table_name.hpp"
#include "txm/dynamodb_feed.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

namespace txm::dynamodb {

using namespace detail;

namespace {

// Of one transaction; what its other items need is left over.
constexpr std::size_t max_writes = 96;
constexpr std::size_t max_bytes = std::size_t{3} << 20;

std::size_t size_of(const Delivery& delivery) {
    return delivery.message.payload.size() + 2048;
}

}  // namespace

class ConsumerStore::Impl {
public:
    Impl(Database& db, std::string consumer, std::string inbox_table, std::string state_table,
         std::optional<std::chrono::seconds> retention)
        : db_(db),
          consumer_(std::move(consumer)),
          inbox_(checked_table_name(std::move(inbox_table))),
          table_(checked_table_name(std::move(state_table))),
          retention_(retention),
          keys_(consumer_, inbox_),
          leases_(db_.impl(), table_, keys_) {}

    awaitable<std::vector<bool>> is_parked(std::span<const Delivery> deliveries);
    awaitable<void> park(std::span<const Delivery> deliveries, Timestamp next_attempt, std::string reason);
    awaitable<std::vector<Delivery>> take_parked(std::size_t max);
    awaitable<void> unpark(const Delivery& delivery);
    awaitable<int> begin_attempt(const Delivery& delivery, bool is_alone);
    awaitable<void> end_attempt(const Delivery& delivery);
    awaitable<void> dead_letter(const Incoming& incoming, const Delivery& delivery, std::string why, bool hold);
    Timestamp purged_to() const;
    awaitable<bool> lease(std::string what) { return leases_.keep(std::move(what)); }
    awaitable<void> release() { return leases_.release(); }

private:
    awaitable<void> be_registered();
    awaitable<void> park_some(std::span<const Delivery> deliveries, Timestamp next_attempt, const std::string& reason);
    awaitable<bool> try_dead_letter(const Incoming& incoming, const Delivery& delivery, const std::string& message_id,
                                    const std::string& why, bool hold, int& failures);

    Database& db_;
    const std::string consumer_, inbox_, table_;
    const std::optional<std::chrono::seconds> retention_;
    const ConsumerKeys keys_;
    ConsumerLeases leases_;
    std::atomic<bool> is_registered_ = false;
};

// A consumer without any parked lane, which is nearly every one nearly always, pays for one small read.
awaitable<std::vector<bool>> ConsumerStore::Impl::is_parked(std::span<const Delivery> deliveries) {
    std::vector<bool> answers(deliveries.size(), false);
    Session reader(db_);
    Item values;
    values.emplace(":lanes", keys_.lanes());
    Query any(table_, "PK = :lanes", std::move(values));
    any.limit = 1;
    const std::vector<Item> some = co_await reader.query(std::move(any));
    if (some.empty())
        co_return answers;
    std::vector<ConsumerLane> lanes;
    for (const Delivery& delivery : deliveries)
        lanes.push_back(lane_of(delivery.message));
    std::ranges::sort(lanes);
    lanes.erase(std::ranges::unique(lanes).begin(), lanes.end());
    std::vector<TableKey> wanted;
    wanted.reserve(lanes.size());
    for (const ConsumerLane& lane : lanes)
        wanted.emplace_back(table_, keys_.lane(lane));
    const std::vector<std::optional<Item>> found = co_await db_.impl().get_items(wanted);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const auto lane = std::ranges::lower_bound(lanes, lane_of(deliveries[i].message));
        answers[i] = found[static_cast<std::size_t>(lane - lanes.begin())].has_value();
    }
    co_return answers;
}

// So that the operator finds consumers without looking through the whole table.
awaitable<void> ConsumerStore::Impl::be_registered() {
    if (is_registered_)
        co_return;
    Item row = keys_.registered();
    row.emplace("Consumer", consumer_);
    if (retention_)
        row.emplace("Retention", retention_->count());
    Session session(db_);
    session.put(table_, std::move(row));
    co_await session.commit();
    is_registered_ = true;
}

// What does not fit into one transaction is written in the order in which it was given: what was acknowledged to nobody
// comes again, and goes where it belongs.
awaitable<void> ConsumerStore::Impl::park(std::span<const Delivery> deliveries, Timestamp next_attempt,
                                          std::string reason) {
    co_await be_registered();
    while (!deliveries.empty()) {
        std::size_t count = 0, bytes = 0, parts = 0;
        std::vector<ConsumerLane> lanes;
        for (; count < deliveries.size(); ++count) {
            bytes += size_of(deliveries[count]);
            parts += part_count(deliveries[count]);
            ConsumerLane lane = lane_of(deliveries[count].message);
            const bool is_new = std::ranges::find(lanes, lane) == lanes.end();
            const std::size_t writes = (count + 1) * ConsumerLanes::writes_of_delivery + parts +
                                       (lanes.size() + (is_new ? 1 : 0)) * ConsumerLanes::writes_of_lane;
            if (count > 0 && (writes > max_writes || bytes > max_bytes))
                break;
            if (is_new)
                lanes.push_back(std::move(lane));
        }
        co_await park_some(deliveries.first(count), next_attempt, reason);
        deliveries = deliveries.subspan(count);
    }
}

awaitable<void> ConsumerStore::Impl::park_some(std::span<const Delivery> deliveries, Timestamp next_attempt,
                                               const std::string& reason) {
    int failures = 0;
    for (bool is_done = false; !is_done;) {
        ConsumerLanes lanes(db_, table_, keys_);
        std::vector<ConsumerLane> names;
        std::vector<std::string> ids;
        for (const Delivery& delivery : deliveries) {
            names.push_back(lane_of(delivery.message));
            ids.push_back(delivery.message.message_id.to_string());
        }
        co_await lanes.load(std::move(names), std::move(ids));
        for (const Delivery& delivery : deliveries)
            lanes.park(delivery, next_attempt, reason);
        Session session(db_);
        lanes.stage(session);
        fault::point("dynamodb_consumer.park");
        is_done = co_await commit_unless_moved(session, failures);
    }
    fault::point("dynamodb_consumer.parked");
}

// The lanes are read before their heads: a head that was done with in between is not there any more, and what follows it is
// asked for next time.
// A lane whose head is gone was moved on between the two reads, and may be due again with its next one: an answer without it
// would say that nothing of it waits.
awaitable<std::vector<Delivery>> ConsumerStore::Impl::take_parked(std::size_t max) {
    std::vector<Delivery> heads;
    constexpr int most_looks = 10;
    for (int looks = 1; max > 0; ++looks) {
        Item values;
        values.emplace(":due", keys_.due_lanes());
        values.emplace(":now", ConsumerKeys::due_until(now()));
        Query due(table_, "PK = :due and SK < :now", std::move(values));
        due.limit = max;
        Session reader(db_);
        const std::vector<Item> lanes = co_await reader.query(std::move(due));
        std::vector<TableKey> wanted;
        std::vector<Item> keys;
        for (const Item& lane : lanes) {
            keys.push_back(keys_.parked(lane.at("MessageId").text()));
            wanted.emplace_back(table_, keys.back());
        }
        std::vector<std::optional<Item>> found;
        if (!wanted.empty())
            found = co_await db_.impl().get_items(wanted);
        std::vector<std::optional<Delivery>> whole =
            co_await whole_deliveries(db_.impl(), table_, std::move(found), std::move(keys));
        for (std::optional<Delivery>& delivery : whole) {
            if (delivery)
                heads.push_back(*std::move(delivery));
        }
        if (lanes.empty() || !heads.empty())
            break;
        if (looks == most_looks)
            throw Error(Errc::store_unavailable,
                        "the first of each parked lane is gone whenever it is looked for: other members move the lanes "
                        "on; look again");
    }
    co_return heads;
}

awaitable<void> ConsumerStore::Impl::unpark(const Delivery& delivery) {
    const std::string id = delivery.message.message_id.to_string();
    const ConsumerLane lane = lane_of(delivery.message);
    int failures = 0;
    for (bool is_done = false; !is_done;) {
        ConsumerLanes lanes(db_, table_, keys_);
        std::vector<ConsumerLane> names{lane};
        std::vector<std::string> ids{id};
        co_await lanes.load(std::move(names), std::move(ids));
        const Kept* kept = lanes.kept(id);
        if (!kept || (kept->replay && !delivery.replay))
            co_return;
        const ConsumerLane kept_in = kept->lane;
        co_await lanes.remove(id);
        lanes.go_on(kept_in);
        Session session(db_);
        lanes.stage(session);
        fault::point("dynamodb_consumer.unpark");
        is_done = co_await commit_unless_moved(session, failures);
    }
    fault::point("dynamodb_consumer.unparked");
}

awaitable<int> ConsumerStore::Impl::begin_attempt(const Delivery& delivery, bool is_alone) {
    fault::point("dynamodb_consumer.begin_attempt");
    const int unfinished =
        co_await count_attempt(db_.impl(), table_, keys_.attempts(delivery.message.message_id.to_string()), is_alone);
    fault::point("dynamodb_consumer.attempt_begun");
    co_return unfinished;
}

awaitable<void> ConsumerStore::Impl::end_attempt(const Delivery& delivery) {
    fault::point("dynamodb_consumer.end_attempt");
    co_await forget_attempts(db_.impl(), table_, keys_.attempts(delivery.message.message_id.to_string()));
    fault::point("dynamodb_consumer.attempt_ended");
}

awaitable<void> ConsumerStore::Impl::dead_letter(const Incoming& incoming, const Delivery& delivery, std::string why,
                                                 bool hold) {
    co_await be_registered();
    // A message without an id has no inbox row, and two of them must not become one dead letter.
    const std::string id = (incoming.message_id.is_nil() ? new_uuid() : incoming.message_id).to_string();
    int failures = 0;
    for (bool is_done = false; !is_done;)
        is_done = co_await try_dead_letter(incoming, delivery, id, why, hold, failures);
    fault::point("dynamodb_consumer.dead_lettered");
}

awaitable<bool> ConsumerStore::Impl::try_dead_letter(const Incoming& incoming, const Delivery& delivery,
                                                     const std::string& id, const std::string& why, bool hold,
                                                     int& failures) {
    const bool has_id = !incoming.message_id.is_nil();
    const Item row_key = inbox_key(incoming.message_id, incoming.consumer.empty() ? consumer_ : incoming.consumer);
    Session session(db_);
    bool is_new = true;
    if (has_id) {
        const std::optional<Item> row = co_await session.get(inbox_, row_key);
        if (row && !is_dead(*row))
            throw MessageAlreadyProcessedError(incoming.message_id);
        is_new = !row.has_value();
        // A row that is decided otherwise between now and the commit is seen at the next try.
        if (is_new)
            session.add(Write::put(inbox_, dead_row(row_key, incoming)).when("attribute_not_exists(PK)", Moved{}));
        else
            session.add(still_dead(inbox_, row_key));
    }
    // Decided before, and delivered again because the acknowledgement was lost: an operator may have freed the lane, or sent
    // the message again, since.
    const bool is_repeated = !is_new && !incoming.replay && !delivery.replay;
    const ConsumerLane lane = lane_of(delivery.message);
    ConsumerLanes lanes(db_, table_, keys_);
    std::vector<ConsumerLane> names{lane};
    std::vector<std::string> ids{id};
    co_await lanes.load(std::move(names), std::move(ids));
    if (const Kept* kept = lanes.kept(id); kept && !(is_repeated && kept->replay)) {
        const ConsumerLane kept_in = kept->lane;
        co_await lanes.remove(id);
        lanes.go_on(kept_in);
    }
    if (is_repeated) {
        lanes.go_on(lane);
    } else {
        Item letter = item_of(delivery, keys_.dead(id));
        letter.insert_or_assign("MessageId", id);
        letter.insert_or_assign("Reason", why);
        letter.insert_or_assign("DeadAt", now());
        letter.insert_or_assign("Held", hold);
        session.put(table_, std::move(letter));
        for (Item& part : parts_of(delivery, keys_.dead_parts(id)))
            session.put(table_, std::move(part));
        if (hold)
            lanes.hold(lane, id, why);
        else
            lanes.go_on(lane);
    }
    session.remove(table_, keys_.attempts(id));
    lanes.stage(session);
    fault::point("dynamodb_consumer.dead_letter");
    co_return co_await commit_unless_moved(session, failures);
}

Timestamp ConsumerStore::Impl::purged_to() const {
    return retention_ ? window_start(*retention_, now()) : Timestamp{};
}

ConsumerStore::ConsumerStore(Database& db, std::string consumer, std::string inbox_table, std::string state_table,
                             std::optional<std::chrono::seconds> retention)
    : impl_(
          std::make_shared<Impl>(db, std::move(consumer), std::move(inbox_table), std::move(state_table), retention)) {}

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
    co_return impl_->purged_to();
}

// The table's time to live does it.
awaitable<std::size_t> ConsumerStore::purge_inbox(std::chrono::seconds, std::size_t) {
    co_return 0;
}

awaitable<bool> ConsumerStore::lease(std::string what) {
    return impl_->lease(std::move(what));
}

awaitable<void> ConsumerStore::release() {
    return impl_->release();
}

}  // namespace txm::dynamodb
