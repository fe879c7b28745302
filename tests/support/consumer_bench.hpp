#pragma once

#include "support/consumer_fakes.hpp"
#include "txm/consumer.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace txm::test {

/// A consumer between a MemoryTopic and a MemoryConsumerStore. Its effect is a line in `effects`, in one transaction
/// with the inbox row.
class ConsumerBench {
public:
    ConsumerBench() {
        options.backoff = std::chrono::milliseconds(1);
        options.max_backoff = std::chrono::milliseconds(4);
        options.parked_poll = std::chrono::milliseconds(1);
        options.extend_every = std::chrono::milliseconds(1);
        options.drain = true;
    }

    /// The n-th message, from 1, as its sender's outbox would number it.
    static StoredMessage message(const std::string& aggregate, Sequence n, const std::string& payload = "{}") {
        StoredMessage result;
        result.message_id.bytes[0] = 0xA0;
        for (int i = 0; i < 8; ++i)
            result.message_id.bytes[15 - static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(n >> (8 * i));
        result.aggregate_id = aggregate;
        result.topic = "orders";
        result.type = "order-created";
        result.payload = payload;
        result.sequence = n;
        result.stored_at = Timestamp{std::chrono::seconds{1'700'000'000 + n}};
        return result;
    }

    void push(const std::string& aggregate, Sequence n) { topic.push(message(aggregate, n)); }

    static Sequence number(const Delivery& delivery) { return delivery.message.sequence; }

    /// Runs the consumer until it ends, by itself or because a hook called stop().
    ConsumerStatistics run() {
        ConsumerRunner made(store, topic, options, [this](const Incoming& incoming, const Delivery& delivery) {
            return handle(incoming, delivery);
        });
        runner = &made;
        if (is_strict)
            made.strict();
        made.on_event([this](const std::string& line) { events.push_back(line); });
        std::exception_ptr problem;
        boost::asio::co_spawn(io, made.run(), [&](std::exception_ptr e) { problem = e; });
        io.restart();
        io.run();
        runner = nullptr;
        if (problem)
            std::rethrow_exception(problem);
        return made.statistics();
    }

    /// Numbers of one aggregate's effects, as they were committed.
    std::vector<Sequence> effects_of(const std::string& aggregate) const {
        std::vector<Sequence> result;
        for (const auto& [name, n] : effects) {
            if (name == aggregate)
                result.push_back(n);
        }
        return result;
    }

    bool has_event(const std::string& part) const {
        return std::any_of(events.begin(), events.end(),
                           [&](const std::string& line) { return line.find(part) != line.npos; });
    }

    boost::asio::io_context io;
    MemoryTopic topic{io.get_executor()};
    MemoryConsumerStore store;
    ConsumerOptions options{"billing"};
    bool is_strict = false;

    std::function<void(const Delivery&)> before{};  ///< throws to fail a try before its commit
    std::function<void(const Delivery&)> after{};   ///< throws to lose the answer of a commit
    std::function<awaitable<void>(const Delivery&)> meanwhile{};

    ConsumerRunner* runner = nullptr;  ///< while it runs
    std::vector<std::pair<std::string, Sequence>> effects{};
    std::map<Sequence, int> tries{};
    std::vector<std::string> events{};
    std::size_t most_at_once = 0;
    bool two_of_a_lane_at_once = false;

private:
    awaitable<bool> handle(const Incoming& incoming, const Delivery& delivery) {
        if (delivery.message.type == "unknown")
            co_return false;
        const Running running(*this, delivery.message.aggregate_id.str());
        ++tries[number(delivery)];
        store.check(incoming);
        if (before)
            before(delivery);
        co_await boost::asio::post(boost::asio::use_awaitable);
        if (meanwhile)
            co_await meanwhile(delivery);
        store.commit(incoming);
        effects.emplace_back(delivery.message.aggregate_id.str(), number(delivery));
        if (after)
            after(delivery);
        co_return true;
    }

    class Running {
    public:
        Running(ConsumerBench& bench, std::string aggregate) : bench_(bench), aggregate_(std::move(aggregate)) {
            if (!bench_.running_.insert(aggregate_).second)
                bench_.two_of_a_lane_at_once = true;
            bench_.most_at_once = std::max(bench_.most_at_once, bench_.running_.size());
        }
        Running(const Running&) = delete;
        Running& operator=(const Running&) = delete;
        ~Running() { bench_.running_.erase(aggregate_); }

    private:
        ConsumerBench& bench_;
        std::string aggregate_;
    };

    std::set<std::string> running_;
};

}  // namespace txm::test
