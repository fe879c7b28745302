#pragma once

#include "core/signal.hpp"
#include "txm/consumer_store.hpp"
#include "txm/error.hpp"
#include "txm/inbox.hpp"
#include "txm/subscription.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

/// A broker and a consumer's store in memory, for tests of the consumer. One thread.
namespace txm::test {

/// Called before each step of a fake: a test throws from it, stops the consumer, or counts.
using Hook = std::function<void(const std::string& step)>;

/// Hands out messages in order, gives unacknowledged ones again when told to.
class MemoryTopic final : public Subscription {
public:
    explicit MemoryTopic(const boost::asio::any_io_executor& executor) : arrived_(executor) {}

    void push(StoredMessage message) {
        Delivery delivery;
        delivery.message = std::move(message);
        delivery.position = has_positions ? ++last_position_ : 0;
        enqueue(std::move(delivery));
        arrived_.notify();
    }

    /// As after a lost connection: what is not acknowledged comes again, before anything newer.
    void redeliver() {
        std::map<std::uint64_t, Delivery> open = std::exchange(unacknowledged_, {});
        for (auto& [token, delivery] : open) {
            delivery.redelivered = true;
            enqueue(std::move(delivery));
        }
        std::stable_sort(queue_.begin(), queue_.end(),
                         [](const Delivery& a, const Delivery& b) { return a.position < b.position; });
        arrived_.notify();
    }

    awaitable<std::vector<Delivery>> receive(std::size_t max) override {
        step("receive");
        largest_request = std::max(largest_request, max);
        while (queue_.empty() && !is_interrupted_ && !(is_draining_ && unacknowledged_.empty()))
            co_await arrived_.wait();
        std::vector<Delivery> batch;
        if (!is_interrupted_) {
            while (!queue_.empty() && batch.size() < max) {
                unacknowledged_.emplace(queue_.front().token, queue_.front());
                batch.push_back(std::move(queue_.front()));
                queue_.pop_front();
            }
        }
        is_interrupted_ = false;
        most_in_memory = std::max(most_in_memory, unacknowledged_.size());
        co_return batch;
    }

    awaitable<void> acknowledge(const Delivery& delivery) override {
        step("acknowledge");
        co_await boost::asio::post(boost::asio::use_awaitable);
        acknowledged.push_back(delivery.message.message_id);
        unacknowledged_.erase(delivery.token);
        arrived_.notify();
    }

    awaitable<void> extend(const Delivery& delivery) override {
        step("extend");
        extended.insert(delivery.message.message_id);
        co_return;
    }

    std::chrono::milliseconds extend_within() const noexcept override { return must_be_extended_within; }

    awaitable<void> drain() override {
        is_draining_ = true;
        co_return;
    }

    void interrupt() override {
        is_interrupted_ = true;
        arrived_.notify();
    }

    /// As a new subscription of the same group.
    void reopen() {
        is_interrupted_ = is_draining_ = false;
        redeliver();
    }

    bool is_empty() const { return queue_.empty() && unacknowledged_.empty(); }
    std::size_t unacknowledged() const { return unacknowledged_.size(); }
    bool acknowledged_one(const Uuid& id) const {
        return std::find(acknowledged.begin(), acknowledged.end(), id) != acknowledged.end();
    }

    Hook hook{};
    bool has_positions = true;
    std::chrono::milliseconds must_be_extended_within{0};
    std::vector<Uuid> acknowledged{};
    std::set<Uuid> extended{};
    std::size_t largest_request = 0, most_in_memory = 0;

private:
    void step(const std::string& name) {
        if (hook)
            hook(name);
    }

    void enqueue(Delivery delivery) {
        delivery.token = ++last_token_;
        queue_.push_back(std::move(delivery));
    }

    txm::detail::Signal arrived_;
    std::deque<Delivery> queue_;
    std::map<std::uint64_t, Delivery> unacknowledged_;
    std::uint64_t last_token_ = 0;
    std::int64_t last_position_ = 0;
    bool is_interrupted_ = false, is_draining_ = false;
};

/// An inbox of one consumer with the dead letters and parked lanes beside it.
class MemoryConsumerStore final : public ConsumerStore {
public:
    using LaneName = std::pair<std::string, std::string>;
    struct Parked {
        Delivery delivery;
        Timestamp next_attempt{};
        std::string reason{};
    };
    struct Row {
        InboxState state = InboxState::processed;
        std::uint64_t hash = 0;
    };

    static LaneName lane_of(const StoredMessage& message) { return {message.topic, message.aggregate_id.str()}; }

    awaitable<std::vector<bool>> is_parked(std::span<const Delivery> deliveries) override {
        co_await begin("is_parked");
        std::vector<bool> result;
        for (const Delivery& delivery : deliveries) {
            const LaneName lane = lane_of(delivery.message);
            result.push_back(held.contains(lane) || (parked.contains(lane) && !parked.at(lane).empty()));
        }
        co_await boost::asio::post(boost::asio::use_awaitable);
        if (late_answer)
            co_await late_answer();
        co_return result;
    }

    awaitable<void> park(std::span<const Delivery> deliveries, Timestamp next_attempt, std::string reason) override {
        co_await begin("park");
        ++park_calls;
        for (const Delivery& delivery : deliveries) {
            auto& lane = parked[lane_of(delivery.message)];
            const bool is_kept = lane.contains(delivery.message.sequence);
            if (!is_kept || delivery.attempt > 0)
                lane[delivery.message.sequence] = Parked{delivery, next_attempt, reason};
        }
        co_await end("park");
    }

    awaitable<std::vector<Delivery>> take_parked(std::size_t max) override {
        co_await begin("take_parked");
        std::vector<Delivery> due;
        for (const auto& [lane, deliveries] : parked) {
            for (const auto& [sequence, kept] : deliveries) {
                if (held.contains(lane) || kept.next_attempt > now() || due.size() == max)
                    break;
                due.push_back(kept.delivery);
                if (only_heads)
                    break;
            }
        }
        if (late_due)
            co_await late_due();
        co_return due;
    }

    awaitable<void> unpark(const Delivery& delivery) override {
        co_await begin("unpark");
        remove(delivery);
        co_await end("unpark");
    }

    awaitable<int> begin_attempt(const Delivery& delivery, bool is_alone) override {
        co_await begin("begin_attempt");
        int& count = unfinished[delivery.message.message_id];
        const int before = count;
        if (before == 0 || is_alone)
            ++count;
        co_await end("begin_attempt");
        co_return before;
    }

    awaitable<void> end_attempt(const Delivery& delivery) override {
        co_await begin("end_attempt");
        unfinished.erase(delivery.message.message_id);
        co_await end("end_attempt");
    }

    awaitable<void> dead_letter(const Incoming& incoming, const Delivery& delivery, std::string why,
                                bool hold) override {
        co_await begin("dead_letter");
        const auto found = inbox.find(incoming.message_id);
        if (found != inbox.end() && found->second.state != InboxState::dead)
            throw MessageAlreadyProcessedError(incoming.message_id);
        inbox[incoming.message_id] = Row{InboxState::dead, incoming.payload_hash.value_or(0)};
        dead[incoming.message_id] = std::move(why);
        dead_attempts[incoming.message_id] = delivery.attempt;
        unfinished.erase(incoming.message_id);
        remove(delivery);
        if (hold)
            held.insert(lane_of(delivery.message));
        co_await end("dead_letter");
    }

    awaitable<Timestamp> purged_to() override { co_return Timestamp{}; }

    awaitable<std::size_t> purge_inbox(std::chrono::seconds, std::size_t limit) override {
        co_await begin("purge_inbox");
        const std::size_t purged = std::min(limit, forgettable);
        forgettable -= purged;
        co_return purged;
    }

    awaitable<bool> lease(std::string what) override {
        co_await begin("lease");
        co_return !leased_elsewhere.contains(what);
    }

    awaitable<void> release() override {
        ++releases;
        co_return;
    }

    /// What a handler's commit does: the inbox row and the effect, or neither.
    void commit(const Incoming& incoming) {
        check(incoming);
        inbox[incoming.message_id] = Row{InboxState::processed, incoming.payload_hash.value_or(0)};
    }

    void check(const Incoming& incoming) const {
        const auto found = inbox.find(incoming.message_id);
        if (found != inbox.end() && !(incoming.replay && found->second.state == InboxState::dead))
            throw MessageAlreadyProcessedError(incoming.message_id, found->second.hash != incoming.payload_hash);
    }

    std::size_t parked_count() const {
        std::size_t count = 0;
        for (const auto& [lane, deliveries] : parked)
            count += deliveries.size();
        return count;
    }

    void make_all_due() {
        for (auto& [lane, deliveries] : parked) {
            for (auto& [sequence, kept] : deliveries)
                kept.next_attempt = Timestamp{};
        }
    }

    Hook hook{};
    std::function<awaitable<void>()> late_answer{};  ///< between the answer of is_parked() and its arrival
    std::function<awaitable<void>()> late_due{};     ///< the same of take_parked()
    std::map<Uuid, Row> inbox{};
    std::map<Uuid, std::string> dead{};
    std::map<Uuid, int> dead_attempts{};
    std::map<LaneName, std::map<Sequence, Parked>> parked{};
    std::map<Uuid, int> unfinished{};
    std::set<LaneName> held{};
    std::set<std::string> leased_elsewhere{};
    std::size_t forgettable = 0, park_calls = 0;
    bool only_heads = false;  ///< of parked lanes, as a store gives them
    int releases = 0;

private:
    // A step may fail before it does anything, or after: its answer is lost.
    awaitable<void> begin(std::string name) {
        if (hook)
            hook(name);
        co_await boost::asio::post(boost::asio::use_awaitable);
    }
    awaitable<void> end(std::string name) {
        co_await boost::asio::post(boost::asio::use_awaitable);
        if (hook)
            hook(name + " done");
    }

    void remove(const Delivery& delivery) {
        const auto lane = parked.find(lane_of(delivery.message));
        if (lane == parked.end())
            return;
        lane->second.erase(delivery.message.sequence);
        if (lane->second.empty())
            parked.erase(lane);
    }
};

}  // namespace txm::test
