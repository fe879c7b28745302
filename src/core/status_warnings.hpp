#pragma once

#include "txm/admin.hpp"

#include <string_view>

namespace txm::detail {

/// Adds to `status.warnings` what waits for an operator: dead letters, aggregates that they hold, and messages that no relay
/// takes. @param lease the name of the relay's
void add_warnings(StoreStatus& status, std::string_view lease);

}  // namespace txm::detail
