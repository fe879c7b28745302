#pragma once

#include "sqlite/connection.hpp"
#include "txm/admin.hpp"

#include <string>

namespace txm::sqlite::detail {

/// Counts what an outbox and an inbox hold, and says what an operator has to do.
StoreStatus read_status(Connection& connection, const std::string& path, const std::string& outbox,
                        const std::string& inbox);

}  // namespace txm::sqlite::detail
