#pragma once

#include <string>

namespace txm::bench {

/// What `txm relay` needs to carry a backlog from a DynamoDB stream to SQS FIFO queues, and how fast it is.
/// @param serve the program that runs DynamoDB Local
void measure_streams(const std::string& directory, const std::string& txm, const std::string& serve);

}  // namespace txm::bench
