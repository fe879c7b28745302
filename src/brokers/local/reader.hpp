#pragma once

#include "brokers/local/acknowledger.hpp"
#include "brokers/local/partitions.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace txm::local::detail {

/// Reads what scans ask for, at most `max` rows of each topic and a few megabytes in all, in the order of offsets.
std::vector<TopicRows> read_topics(Connection& connection, const std::vector<std::string>& topics,
                                   const GroupIds& groups, const std::vector<TopicScan>& scans, std::size_t max);

/// Whether everything of these groups up to `end` is settled, by whichever member.
bool are_settled(Connection& connection, const std::vector<std::string>& topics, const GroupIds& groups, Offset end);

}  // namespace txm::local::detail
