#pragma once

#include "txm/error.hpp"
#include "txm/publisher.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace txm::testing {

/// A broker in memory that does with each message what the test says.
class FakePublisher final : public Publisher {
public:
    enum class Verdict {
        acknowledge,
        refuse,
        postpone,
        ignore,      ///< no report
        disconnect,  ///< throws: neither this one nor what follows in the batch is reported
    };

    std::function<Verdict(const StoredMessage&)> verdict = [](const StoredMessage&) { return Verdict::acknowledge; };
    std::function<std::string(const StoredMessage&)> destination_name = [](const StoredMessage&) {
        return std::string{};
    };
    std::function<void(const PublishBatch&)> on_batch{};
    std::chrono::milliseconds delay{0};
    std::size_t concurrency = 1;
    bool is_gapless = false;

    std::vector<StoredMessage> accepted{};  ///< in the order of acknowledgement, duplicates included
    std::size_t batches = 0, sends = 0, most_batches_at_once = 0;
    bool saw_two_of_a_lane = false;  ///< in flight at the same time, in different batches or (not gapless) in one

    awaitable<void> publish(PublishBatch& batch) override {
        begin(batch);
        if (delay.count() > 0) {
            boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor, delay};
            co_await timer.async_wait(boost::asio::use_awaitable);
        }
        end(batch);
        for (const StoredMessage& message : batch) {
            switch (verdict(message)) {
                case Verdict::acknowledge:
                    accepted.push_back(message);
                    batch.acknowledge(message);
                    break;
                case Verdict::refuse:
                    batch.refuse(message, "the test refuses it");
                    if (is_gapless)
                        refuse_rest(batch, message);
                    break;
                case Verdict::postpone: batch.postpone(message); break;
                case Verdict::ignore: break;
                case Verdict::disconnect: throw Error(Errc::broker_unavailable, "the test cut the connection");
            }
            if (batch_over_)
                break;
        }
        batch_over_ = false;
    }

    bool gapless() const noexcept override { return is_gapless; }
    std::size_t max_concurrent_batches() const override { return concurrency; }
    std::string destination(const StoredMessage& message) const override { return destination_name(message); }

    /// Sequences of the first acknowledgements of an aggregate, in order.
    std::vector<Sequence> first_acknowledgements(const std::string& aggregate) const {
        std::vector<Sequence> order;
        for (const StoredMessage& message : accepted) {
            if (message.aggregate_id.str() == aggregate &&
                std::find(order.begin(), order.end(), message.sequence) == order.end())
                order.push_back(message.sequence);
        }
        return order;
    }

    /// True when the first acknowledgements of every aggregate are in sequence order.
    bool is_in_order() const {
        std::map<std::string, Sequence> last;
        std::set<Sequence> seen;
        for (const StoredMessage& message : accepted) {
            if (!seen.insert(message.sequence).second)
                continue;
            Sequence& previous = last[message.aggregate_id.str()];
            if (message.sequence < previous)
                return false;
            previous = message.sequence;
        }
        return true;
    }

private:
    void begin(const PublishBatch& batch) {
        ++batches;
        sends += batch.size();
        std::set<std::string> lanes;
        for (const StoredMessage& message : batch) {
            const std::string& lane = message.aggregate_id.str();
            const bool is_second = !lanes.insert(lane).second;
            saw_two_of_a_lane |= (is_second && !is_gapless) || in_flight_.contains(lane);
        }
        in_flight_.merge(lanes);
        most_batches_at_once = std::max(most_batches_at_once, ++at_once_);
        if (on_batch)
            on_batch(batch);
    }

    void end(const PublishBatch& batch) {
        --at_once_;
        for (const StoredMessage& message : batch)
            in_flight_.erase(message.aggregate_id.str());
    }

    // A gapless broker takes nothing after what it refused.
    void refuse_rest(PublishBatch& batch, const StoredMessage& refused) {
        for (const StoredMessage* next = &refused + 1; next != batch.messages().data() + batch.size(); ++next)
            batch.refuse(*next, "it follows one that was refused");
        batch_over_ = true;
    }

    std::set<std::string> in_flight_;
    std::size_t at_once_ = 0;
    bool batch_over_ = false;
};

}  // namespace txm::testing
