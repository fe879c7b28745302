#include "consumer/run.hpp"

#include "core/fault_point.hpp"

#include <chrono>
#include <string>

namespace txm::detail {

namespace {

// What a foreign producer sent without an id is known by its place. Without a place no two deliveries of it could be told
// to be one. True then: the new id is good for a dead letter alone.
bool give_id(Delivery& delivery) {
    StoredMessage& message = delivery.message;
    if (!message.message_id.is_nil())
        return false;
    const bool has_place = delivery.position > 0;
    if (has_place) {
        // A namespace of txm's own, so that the ids cannot meet those that somebody else derives.
        static const Uuid places = Uuid::parse("6f1d4c1e-8d0b-5c55-9a3e-2f7c1f0a94d3");
        message.message_id = derived_uuid(
            places, message.topic + '/' + std::to_string(delivery.partition) + '/' + std::to_string(delivery.position));
    } else {
        message.message_id = new_uuid();
    }
    return !has_place;
}

}  // namespace

awaitable<void> ConsumerRun::receive() {
    if (options_.drain)
        co_await start_drain();
    int failures = 0;
    while (!is_ending_) {
        if (!is_worth_receiving()) {
            co_await receiver_.signal.wait();
            continue;
        }
        std::vector<Delivery> batch;
        std::exception_ptr problem;
        try {
            batch = co_await subscription_.receive(window_ - from_broker_);
            if (!batch.empty())
                fault::point("consumer.after_receive");
        } catch (...) {
            problem = std::current_exception();
        }
        if (!batch.empty()) {
            failures = 0;
            co_await arrive(std::move(batch));
        } else if (problem) {
            const bool again = co_await later(receiver_, problem, failures, "the broker gives no deliveries");
            if (!again)
                break;
        } else if (options_.drain) {
            break;
        } else if (!is_ending_) {
            // A stray interrupt. The pause keeps a subscription that does not wait from eating a processor.
            co_await receiver_.signal.wait_until(std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
        }
    }
    is_receiving_ = false;
    nothing_is_due_ = false;
    retrier_.signal.notify();
    changed_.notify();
}

awaitable<void> ConsumerRun::start_drain() {
    int failures = 0;
    for (bool again = true; again;) {
        std::exception_ptr problem;
        try {
            co_await subscription_.drain();
        } catch (...) {
            problem = std::current_exception();
        }
        again = false;
        if (problem)
            again = co_await later(receiver_, problem, failures, "the end of the topics is not known");
    }
}

// Few large batches are cheaper than many small ones, but nobody may wait for a batch to become large.
bool ConsumerRun::is_worth_receiving() const {
    const std::size_t room = window_ - from_broker_;
    return room >= limit_ || (room > 0 && !lanes_.is_any_ready());
}

awaitable<void> ConsumerRun::arrive(std::vector<Delivery> batch) {
    from_broker_ += batch.size();
    counters_.received += batch.size();
    counters_.in_flight = from_broker_ + from_store_.size();
    parked_meanwhile_.clear();
    is_asking_ = true;
    std::vector<bool> is_parked;
    int failures = 0;
    while (is_parked.size() != batch.size()) {
        std::exception_ptr problem;
        try {
            is_parked = co_await store_.is_parked(batch);
        } catch (...) {
            problem = std::current_exception();
        }
        if (!problem)
            continue;
        const bool again =
            co_await later(receiver_, problem, failures, "the store does not say which lanes are parked");
        if (!again)
            co_return;  // not acknowledged: they come again
    }
    is_asking_ = false;

    const Time now = std::chrono::steady_clock::now();
    std::vector<Delivery> behind;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        const bool is_nameless = give_id(batch[i]);
        std::string key = Lanes::key_of(batch[i].message);
        const bool must_park = is_parked[i] || parked_meanwhile_.contains(key);
        // What this lane has in memory goes first. What has no id is not parked, but decided where lanes are.
        if (must_park && !is_nameless && !lanes_.has_broker_entries(key)) {
            behind.push_back(std::move(batch[i]));
            continue;
        }
        auto entry = std::make_shared<Entry>(std::move(batch[i]), Origin::broker, 0);
        entry->must_park = must_park;
        entry->is_nameless = is_nameless;
        entry->extended_at = now;
        lanes_.add(std::move(key), std::move(entry));
    }
    pump();
    if (!behind.empty())
        co_await park_behind(std::move(behind));
}

// Deliveries of parked lanes follow what is parked, many lanes in one transaction.
awaitable<void> ConsumerRun::park_behind(std::vector<Delivery> behind) {
    for (Delivery& delivery : behind)
        delivery.attempt = 0;
    int failures = 0;
    for (bool again = true; again;) {
        std::exception_ptr problem;
        try {
            fault::point("consumer.before_park_behind");
            co_await store_.park(behind, now(), "an earlier message of its lane is parked");
            fault::point("consumer.after_park_behind");
        } catch (...) {
            problem = std::current_exception();
        }
        if (!problem)
            break;
        again = co_await later(receiver_, problem, failures, "deliveries of parked lanes cannot be parked");
        if (!again)
            co_return;
    }
    counters_.parked += behind.size();
    for (Delivery& delivery : behind)
        done_.push_back(std::make_shared<Entry>(std::move(delivery), Origin::broker, 0));
    pump();
}

}  // namespace txm::detail
