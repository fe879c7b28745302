#pragma once

#include "txm/borrowed.hpp"

struct sqlite3;

namespace txm::borrowed {

/// Runs statements in the open transaction of your own connection. Nothing is prepared or kept beyond a call.
/// @throws Error(not_in_transaction) by each call when `connection` is in autocommit mode: your writes and the message would
///         not be one transaction
Execute sqlite_transaction(sqlite3* connection);

}  // namespace txm::borrowed
