#pragma once

#include <cstdlib>
#include <string>

namespace txm::aws::detail {

/// The value of an environment variable; empty when it is not set.
inline std::string environment(const char* name) {
    const char* const value = std::getenv(name);
    return value ? value : "";
}

}  // namespace txm::aws::detail
