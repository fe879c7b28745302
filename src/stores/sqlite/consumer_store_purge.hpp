#pragma once

#include "sqlite/connection.hpp"
#include "txm/timestamp.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace txm::sqlite::detail {

/// Forgets what an inbox decided long ago, and moves purged_to in the same transaction, so that a delivery which may have
/// been forgotten is never taken for a new one. What a dead letter still waits for is never forgotten.
class InboxPurge {
public:
    InboxPurge(std::string_view inbox_table, std::string_view consumer);

    /// Deletes, at most `limit`, rows whose message was stored before `cutoff` (where that is not known: which were decided
    /// before). Gives the number.
    std::size_t run(Connection& connection, Timestamp cutoff, std::size_t limit) const;

private:
    std::string inbox_, consumer_, source_, purged_to_key_, stored_before_, decided_before_, delete_;
};

}  // namespace txm::sqlite::detail
