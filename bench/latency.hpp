#pragma once

#include <string>

namespace txm::bench {

/// @param program the benchmark itself, which also is the application and the consumer
void measure_latency(const std::string& directory, const std::string& program, const std::string& txm);

/// The two processes beside the relay; each writes when a message was committed, and when its effect was, into a
/// file that both map.
int latency_application(const std::string& directory);
int latency_consumer(const std::string& directory);

}  // namespace txm::bench
