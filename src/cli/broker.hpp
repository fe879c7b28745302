#pragma once

#include "txm/publisher.hpp"
#include "txm/subscription.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace txm::cli {

/// How far a consumer is behind in a topic, as its broker knows.
struct ConsumerLag {
    std::string topic, consumer;
    std::uint64_t lag = 0;
    std::optional<std::chrono::seconds> oldest_age{};
};

class PublisherSettings {
public:
    bool accept_loss = false;
    /// To be called, with why, when sending again can never succeed: the relay ends. From the publisher's executor.
    std::function<void(const std::string& why)> give_up;
};

class SubscriptionSettings {
public:
    std::string consumer;
    std::vector<std::string> topics;
    bool from_end = false;
    int max_attempts = 10;  ///< of the consumer: a broker that gives up by itself must not do so before
};

/// A broker as the commands see it. A new kind derives from it and adds one line to the registry.
class Broker {
public:
    virtual ~Broker() = default;

    /// Creates what is missing for these topics and consumers, where the broker needs it.
    virtual void migrate(const std::vector<std::string>& topics, const std::vector<std::string>& consumers) = 0;

    virtual std::unique_ptr<Publisher> publisher(PublisherSettings settings) = 0;

    /// @throws UsageError when the broker has none
    virtual std::unique_ptr<Subscription> subscription(const SubscriptionSettings& settings) = 0;

    /// What a consumer waits for before it can begin; empty when it is there.
    virtual std::string not_there_yet() const { return {}; }

    /// Empty where the broker does not know.
    virtual std::vector<ConsumerLag> lags() = 0;
};

}  // namespace txm::cli
