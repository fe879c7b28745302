#pragma once

#include "aws/credentials.hpp"

#include <chrono>
#include <string>

namespace txm::aws::detail {

/// From what a shell command writes, which a profile names as its `credential_process`. It blocks, for `limit` at most: the
/// command and its children, a process group of their own, are killed then.
/// @throws Error(store_unavailable) when it takes longer or fails
Keys credentials_from_process(const std::string& command, const std::string& profile,
                              std::chrono::milliseconds limit = std::chrono::seconds{60});

}  // namespace txm::aws::detail
