#pragma once

#include "aws/client.hpp"
#include "brokers/aws/sqs.hpp"
#include "brokers/aws/wire.hpp"

#include <span>
#include <string>
#include <vector>

namespace txm::aws::detail {

/// The requests of SNS that txm makes.
/// *Thread safety*: any number of threads and coroutines. All functions throw as Client::call does.
class Sns {
public:
    explicit Sns(const ClientOptions& options);

    /// The ARN of the topic of that name, which is made when it is missing.
    awaitable<std::string> create(std::string name, bool fifo);

    /// The ARN of the topic of that name; empty when there is none.
    awaitable<std::string> find(std::string name);

    /// Publishes at most 10 messages. Gives a result for each.
    awaitable<std::vector<EntryResult>> publish(const std::string& topic_arn,
                                                std::span<const WireMessage* const> messages);

    /// The ARN of the subscription of a queue to a topic; empty when there is none.
    awaitable<std::string> find_subscription(std::string topic_arn, std::string queue_arn);

    /// Subscribes the queue, which then gets messages as they were published.
    awaitable<std::string> subscribe(std::string topic_arn, std::string queue_arn);

    /// Its `RawMessageDelivery`, `FilterPolicy` …
    awaitable<QueueAttributes> subscription_attributes(std::string subscription_arn);

    /// Fails what is under way and all that comes later.
    void close() noexcept { client_.close(); }

private:
    const CallOptions few_failures_;
    Client client_;
};

}  // namespace txm::aws::detail
