#pragma once

#include <string>

namespace txm::bench {

/// Throughput of `txm relay` from SQLite to a local broker, against the same reads, inserts and marks in raw SQLite.
void measure_relay(const std::string& directory, const std::string& txm);

/// What a message costs as the backlog grows, and with 100,000 blocked lanes; and the relay's resident memory.
void measure_scaling(const std::string& directory, const std::string& txm);

}  // namespace txm::bench
