#pragma once

#include "txm/aws_client.hpp"
#include "txm/publisher.hpp"
#include "txm/subscription.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

/// Amazon's brokers: SNS topics that feed SQS queues, or SQS queues alone.
namespace txm::aws {

/// How a payload is wrapped.
enum class Envelope {
    none,       ///< the body is the payload
    tomodachi,  ///< the body is the JSON that tomodachi services exchange, with the payload inside
};

class BrokerOptions {
public:
    explicit BrokerOptions(ClientOptions client_options = ClientOptions{}) : client(std::move(client_options)) {}

    ClientOptions client;
    std::string prefix;  ///< of the names of topics and queues
    bool fifo =
        false;  ///< FIFO topics and queues (their names end in `.fifo`): ordered by aggregate, deduplicated for 5 min
    bool create = true;  ///< a topic or queue that is missing is made when it is first used
    Envelope envelope = Envelope::none;
};

/// Publishes a message of topic T to the SNS topic `<prefix>T`. Ten messages a request, many requests at once, never two of
/// one aggregate. A message that is too large, or whose topic can have no such name, is refused before it is sent.
/// *Cancellation*: publish() ends at once; what was not answered is unknown, as is what others publish with it at that moment.
class SnsPublisher final : public txm::Publisher {
public:
    /// No I/O.
    explicit SnsPublisher(BrokerOptions options);
    ~SnsPublisher() override;

    awaitable<void> publish(PublishBatch& batch) override;
    std::size_t max_concurrent_batches() const override;
    std::string destination(const StoredMessage& message) const override;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

/// Sends a message of topic T to the SQS queue `<prefix>T`, as SnsPublisher does.
class SqsPublisher final : public txm::Publisher {
public:
    /// No I/O.
    explicit SqsPublisher(BrokerOptions options);
    ~SqsPublisher() override;

    awaitable<void> publish(PublishBatch& batch) override;
    std::size_t max_concurrent_batches() const override;
    std::string destination(const StoredMessage& message) const override;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

class SubscriptionOptions {
public:
    /// @param consumer_name who consumes: behind SNS each has a queue of its own, `<prefix><topic>--<consumer>`
    explicit SubscriptionOptions(BrokerOptions broker_options, std::string consumer_name = "default")
        : broker(std::move(broker_options)), consumer(std::move(consumer_name)) {}

    BrokerOptions broker;
    std::string consumer;
    bool behind_sns = true;  ///< false: reads the queue `<prefix><topic>` itself, which all consumers then share
    /// What is not acknowledged comes again after it. A consumer extends it three times as often while it has a delivery.
    std::chrono::seconds visibility{30};
    std::chrono::seconds wait{20};  ///< of one long poll
    std::size_t max_polls = 8;      ///< of a queue at the same time, while it is busy; one while it is quiet
    int max_attempts = 10;          ///< of the consumer: the queue's own redrive policy must allow ten times that
};

/// Deliveries from the queues of some topics, raw ones and those that SNS wrapped. FIFO queues keep the order of an aggregate,
/// with any number of members of a consumer; standard ones do not.
/// It has a thread of its own, from the first receive() on. receive() fails with Error(invalid_configuration) when a queue is
/// missing, or gives messages up too soon. *Cancellation*: ignored; interrupt() ends a wait.
/// *Lifetime*: destroying it shows others what it did not acknowledge, for which it takes two seconds at most; and waits for
/// credentials that are being looked for: some seconds, or a minute for a `credential_process` that hangs.
class Subscription final : public txm::Subscription {
public:
    /// No I/O. @throws Error(invalid_configuration) for a topic or a consumer whose queue cannot have such a name, and for a
    /// visibility or wait that SQS does not know
    Subscription(std::vector<std::string> topics, SubscriptionOptions options);
    ~Subscription() override;

    awaitable<std::vector<Delivery>> receive(std::size_t max) override;
    awaitable<void> acknowledge(const Delivery& delivery) override;
    awaitable<void> extend(const Delivery& delivery) override;
    std::chrono::milliseconds extend_within() const noexcept override;
    awaitable<void> drain() override;
    void interrupt() override;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

/// Makes the queues of `consumer` and subscribes them to their topics, with the access policy that SNS needs; what exists and
/// fits is left alone. @throws Error(invalid_configuration) naming a difference
awaitable<void> subscribe(std::vector<std::string> topics, SubscriptionOptions options);

}  // namespace txm::aws
