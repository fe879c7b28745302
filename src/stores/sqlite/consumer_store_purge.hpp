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

    /// Deletes, at most `limit`, rows that were decided before `cutoff`, of messages that were stored before it (where that
    /// is known). Gives the number.
    std::size_t run(Connection& connection, Timestamp cutoff, std::size_t limit) const;

private:
    std::string inbox_, consumer_, source_, purged_to_key_, old_, delete_;
};

}  // namespace txm::sqlite::detail
