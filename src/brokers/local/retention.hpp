#pragma once

#include "brokers/local/schema.hpp"
#include "txm/timestamp.hpp"

#include <chrono>
#include <cstddef>

namespace txm::local::detail {

/// True for one publisher a minute, whatever their number: it looks for old messages. In the open transaction.
bool claim_purge(Connection& connection, Timestamp now);

/// Deletes the oldest messages of each topic that every group of it settled and that were published more than `retention` ago
/// (of a topic without groups: seven days, if that is longer), at most `limit` of them. Gives their number.
std::size_t purge(Connection& connection, Timestamp now, std::chrono::seconds retention, std::size_t limit);

}  // namespace txm::local::detail
