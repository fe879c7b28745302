#include "consumer/run.hpp"

#include "core/fault_point.hpp"

#include <algorithm>
#include <chrono>

namespace txm::detail {

using std::chrono::steady_clock;

// Takes up parked lanes when they are due, in the one process of this consumer that has the lease.
awaitable<void> ConsumerRun::retry_parked() {
    int failures = 0;
    while (!is_ending_) {
        bool is_any_due = false;
        std::exception_ptr problem;
        try {
            is_any_due = co_await take_due();
        } catch (...) {
            problem = std::current_exception();
        }
        if (problem) {
            co_await later(retrier_, problem, failures, "parked deliveries cannot be read");
            continue;
        }
        failures = 0;
        nothing_is_due_ = !is_any_due && !is_receiving_;
        if (is_drained())
            changed_.notify();
        co_await retrier_.signal.wait_until(steady_clock::now() + options_.parked_poll);
    }
}

// True while something is due or being handled.
awaitable<bool> ConsumerRun::take_due() {
    const std::size_t most = std::max<std::size_t>(1, limit_ / 2);
    if (from_store_.empty()) {
        // Looked at first without the lease, so that a consumer with nothing parked writes nothing.
        const std::vector<Delivery> some = co_await store_.take_parked(1);
        if (some.empty())
            co_return false;
    }
    const bool is_ours = co_await store_.lease("parked");
    if (!is_ours || from_store_.size() >= most)
        co_return true;
    // What is in memory is still parked, and comes first again.
    is_taking_ = true;
    done_meanwhile_.clear();
    std::vector<Delivery> due = co_await store_.take_parked(from_store_.size() + most);
    is_taking_ = false;
    fault::point("consumer.after_take_parked");
    for (Delivery& delivery : due) {
        std::string key = Lanes::key_of(delivery.message);
        const bool is_stale = done_meanwhile_.contains(key);
        const bool is_new = !is_stale && from_store_.insert(delivery.message.message_id).second;
        if (!is_new)
            continue;
        const int tries = delivery.attempt;
        lanes_.add(std::move(key), std::make_shared<Entry>(std::move(delivery), Origin::store, tries));
    }
    counters_.in_flight = from_broker_ + from_store_.size();
    pump();
    // What was left out is asked for again, and so may be what follows it.
    co_return !due.empty() || !from_store_.empty();
}

awaitable<void> ConsumerRun::purge() {
    int failures = 0;
    while (!is_ending_) {
        std::exception_ptr problem;
        try {
            co_await purge_once();
        } catch (...) {
            problem = std::current_exception();
        }
        if (problem) {
            co_await later(purger_, problem, failures, "the inbox cannot be purged");
            continue;
        }
        failures = 0;
        co_await purger_.signal.wait_until(steady_clock::now() + std::chrono::minutes(1));
    }
}

// In small transactions: nobody else can write meanwhile.
awaitable<void> ConsumerRun::purge_once() {
    constexpr std::size_t batch = 500;
    const bool is_ours = co_await store_.lease("purge");
    for (bool is_more = is_ours; is_more && !is_ending_;) {
        fault::point("consumer.before_purge");
        const std::size_t purged = co_await store_.purge_inbox(options_.inbox_retention, batch);
        fault::point("consumer.after_purge");
        is_more = purged == batch;
    }
}

// Gives time to what waits for its turn, is handled slowly, or is blocked.
awaitable<void> ConsumerRun::extend() {
    while (!is_ending_) {
        co_await extender_.signal.wait_until(steady_clock::now() + extend_every_);
        const std::vector<EntryPtr> entries = lanes_.broker_entries();
        for (const EntryPtr& entry : entries) {
            if (is_ending_)
                break;
            const Time at = steady_clock::now();
            if (at - entry->extended_at < extend_every_)
                continue;
            entry->extended_at = at;
            try {
                co_await subscription_.extend(entry->delivery);
            } catch (const std::exception&) {
                // At worst it is delivered twice, and the inbox knows it.
            }
        }
    }
}

}  // namespace txm::detail
