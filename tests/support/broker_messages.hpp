#pragma once

#include "txm/message.hpp"
#include "txm/publisher.hpp"
#include "txm/subscription.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

/// Sending and receiving as the tests of brokers do.
namespace txm::test {

/// A message with every field set.
inline StoredMessage message(const std::string& topic, const std::string& aggregate, const std::string& payload) {
    static Sequence sequence = 0;
    StoredMessage m;
    m.message_id = new_uuid();
    m.aggregate_id = aggregate;
    m.correlation_id = new_uuid();
    m.topic = topic;
    m.type = "something-happened";
    m.payload = payload;
    m.headers = {{"traceparent", "00-11-22-01"}, {"shop", "Zürich \"7\""}};
    m.created_at = now() - std::chrono::seconds{5};
    m.stored_at = now();
    m.sequence = ++sequence;
    return m;
}

/// Publishes and gives how many of them were acknowledged.
inline std::size_t publish(Publisher& publisher, std::span<const StoredMessage> messages) {
    PublishBatch batch(messages);
    sync_wait(publisher.publish(batch));
    std::size_t acknowledged = 0;
    for (std::size_t i = 0; i < batch.size(); ++i)
        acknowledged += batch.report(i) == PublishBatch::Report::acknowledged ? 1 : 0;
    return acknowledged;
}

/// Receives until there are `count`.
inline std::vector<Delivery> receive(Subscription& subscription, std::size_t count) {
    std::vector<Delivery> all;
    while (all.size() < count) {
        std::vector<Delivery> some = sync_wait(subscription.receive(count - all.size()));
        if (some.empty())
            break;
        for (Delivery& delivery : some)
            all.push_back(std::move(delivery));
    }
    return all;
}

inline void acknowledge(Subscription& subscription, std::span<const Delivery> deliveries) {
    boost::asio::io_context context;
    std::exception_ptr failure;
    for (const Delivery& delivery : deliveries)
        boost::asio::co_spawn(context, subscription.acknowledge(delivery), [&](std::exception_ptr error) {
            if (error)
                failure = error;
        });
    context.run();
    if (failure)
        std::rethrow_exception(failure);
}

/// What the group still has to do: receives, and acknowledges, to the present end.
inline std::vector<Delivery> drain(Subscription& subscription) {
    sync_wait(subscription.drain());
    std::vector<Delivery> all;
    for (;;) {
        std::vector<Delivery> some = sync_wait(subscription.receive(100));
        if (some.empty())
            return all;
        acknowledge(subscription, some);
        for (Delivery& delivery : some)
            all.push_back(std::move(delivery));
    }
}

inline std::vector<std::string> payloads(std::span<const Delivery> deliveries) {
    std::vector<std::string> result;
    for (const Delivery& delivery : deliveries)
        result.push_back(delivery.message.payload);
    return result;
}

/// Those of one aggregate.
inline std::vector<std::string> payloads_of(std::span<const Delivery> deliveries, const std::string& aggregate) {
    std::vector<std::string> result;
    for (const Delivery& delivery : deliveries)
        if (delivery.message.aggregate_id.str() == aggregate)
            result.push_back(delivery.message.payload);
    return result;
}

}  // namespace txm::test
