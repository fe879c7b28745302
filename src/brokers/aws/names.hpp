#pragma once

#include "txm/aws.hpp"

#include <string>
#include <string_view>

/// What topics, queues and groups are called.
namespace txm::aws::detail {

/// `<prefix><topic>`, with `.fifo` behind it where that is asked for.
/// @throws Error(invalid_message) for a name that SNS does not allow: 1 to 256 of A-Z a-z 0-9 - _
std::string topic_name(const BrokerOptions& options, std::string_view topic);

/// The same for a queue, whose name has at most 80 characters. @param consumer empty: the queue that all share
std::string queue_name(const BrokerOptions& options, std::string_view topic, std::string_view consumer = {});

/// What orders and locks together in a FIFO topic or queue: the aggregate itself, or a digest of what is too long or has
/// characters that are not allowed there.
std::string group_of(const AggregateId& aggregate);

/// What a FIFO topic or queue knows a message by: its id, and how often it was replayed.
std::string deduplication_id(const StoredMessage& message);

}  // namespace txm::aws::detail
