#pragma once

#include "brokers/aws/sns.hpp"
#include "brokers/aws/sqs.hpp"
#include "txm/aws.hpp"

#include <string>

/// Topics, queues and subscriptions: made where they are missing, checked where they exist.
namespace txm::aws::detail {

/// The URL of the queue of that name, which is made when it is missing and `options` allow it. @throws
/// ServiceError(schema_missing) when there is none
awaitable<std::string> find_queue(Sqs& sqs, const BrokerOptions& options, std::string name);

/// The ARN of the topic of that name, which is made when it is missing and `options` allow it; empty: there is none.
awaitable<std::string> find_topic(Sns& sns, const BrokerOptions& options, std::string name);

/// The URL of the queue that a subscription to `topic` reads, checked. Behind SNS, and when `options` allow to make what is
/// missing, it is subscribed to its topic.
/// @throws Error(invalid_configuration) naming what does not fit, and what to set
awaitable<std::string> prepare_queue(Sqs& sqs, Sns& sns, const SubscriptionOptions& options, std::string topic);

}  // namespace txm::aws::detail
