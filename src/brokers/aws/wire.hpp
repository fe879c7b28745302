#pragma once

#include "txm/aws.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// How a message travels through SNS and SQS.
namespace txm::aws::detail {

using Attributes = std::vector<std::pair<std::string, std::string>>;

/// A message as a request carries it.
struct WireMessage {
    std::string body;
    Attributes attributes;      ///< of type String, none of them empty
    std::string group;          ///< empty where there is no order
    std::string deduplication;  ///< empty where duplicates are not known

    /// As the services count it: body, and name, type and value of each attribute.
    std::size_t size() const noexcept;
};

/// The fields of the message that have an attribute of their own: `message-id`, `aggregate-id`, `correlation-id`, `type`,
/// `topic`. All the rest is in one, `txm-headers`, as a JSON object of strings: SNS and SQS allow ten attributes.
WireMessage to_wire(const StoredMessage& message, const BrokerOptions& options);

/// What a queue gives.
struct Received {
    std::string id;       ///< the queue's own, a UUID
    std::string receipt;  ///< what deletes or extends it
    std::string body;
    Attributes attributes;
    std::string group;
    Timestamp sent_at{};
    int count = 1;  ///< of deliveries, this one included
};

/// Reads what txm sent, raw or wrapped by SNS, and what anybody else did. A foreign message gets an id derived from the
/// one that SNS or SQS gave it, so that all its deliveries have the same; without an aggregate it is one of its own.
Delivery from_wire(Received received, const std::string& topic);

}  // namespace txm::aws::detail
