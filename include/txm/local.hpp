#pragma once

#include "txm/publisher.hpp"
#include "txm/subscription.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// The embedded broker: durable topics with consumer groups in one file, shared by the processes of one machine.
namespace txm::local {

class PublisherOptions {
public:
    PublisherOptions() = default;

    std::chrono::seconds retention{86'400};  ///< what every group settled is deleted when older; 7 days without groups
    std::chrono::milliseconds busy_timeout{60'000};
};

/// Appends to topics. One batch is one transaction, flushed before it is acknowledged; a message whose deduplication id
/// (message_id, or `message_id#r<k>` after k replays) is known is acknowledged and not stored again.
class Publisher final : public txm::Publisher {
public:
    /// Opens `path`, or creates it. @throws Error(broker_unavailable)
    explicit Publisher(const std::string& path, PublisherOptions options = {});
    ~Publisher() override;

    awaitable<void> publish(PublishBatch& batch) override;
    bool gapless() const noexcept override { return true; }

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

class SubscriptionOptions {
public:
    /// @param group_name the consumer's name: subscriptions of one name share the messages
    explicit SubscriptionOptions(std::string group_name = "default") : group(std::move(group_name)) {}

    std::string group;
    bool from_end = false;  ///< where a new group starts: at the start of the topic, or at its end
    std::chrono::milliseconds poll_interval{250};
    std::chrono::milliseconds lease_term{10'000};  ///< a frozen member's lanes are taken over after it
    std::chrono::milliseconds busy_timeout{60'000};
};

/// Deliveries of some topics to one group. Members of a group, in any number of processes, share its lanes by leases:
/// each aggregate is delivered to one member at a time, in order. A topic's aggregates are spread over 16 partitions, so
/// that at most 16 members of a group have work. A member stays one however long a handler takes: extend() does nothing.
/// *Lifetime*: destroying it gives its partitions back, for which it waits for the file's write lock.
class Subscription final : public txm::Subscription {
public:
    /// No I/O; receive() waits until `path` exists.
    Subscription(std::string path, std::vector<std::string> topics, SubscriptionOptions options);
    ~Subscription() override;

    awaitable<std::vector<Delivery>> receive(std::size_t max) override;
    awaitable<void> acknowledge(const Delivery& delivery) override;
    awaitable<void> extend(const Delivery& delivery) override;
    awaitable<void> drain() override;
    void interrupt() override;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

struct GroupStatus {
    std::string topic;
    std::string group;
    std::uint64_t lag = 0;  ///< messages that the group has not settled
    std::optional<std::chrono::seconds> oldest_age{};
};

/// The groups of a broker's file and how far behind they are. @throws Error(broker_unavailable)
std::vector<GroupStatus> status(const std::string& path);

}  // namespace txm::local
