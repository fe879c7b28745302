#pragma once

#include "txm/admin.hpp"
#include "txm/dynamodb.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace txm::dynamodb::detail {

/// The tables of an outbox, as an operator sees them.
struct AdminTables {
    std::string outbox, inbox, state;
    bool compat = false;  ///< parked and dead rows say that they are pending, see OutboxOptions
};

/// A message that is perhaps meant: to be read again before anything is done with it.
struct SelectedKey {
    Timestamp stored_at{};
    Sequence sequence = 0;
    std::size_t lane = 0;  ///< a number made of its aggregate
    std::string row_key{};
};

/// The messages that a filter may mean, in the order in which they were stored; those of an aggregate in the order of their
/// sequence, whatever the clocks of their writers said. It holds the keys alone. By an index or by the state table
/// where the filter allows it, else by a scan of the outbox.
awaitable<std::vector<SelectedKey>> select_keys(DatabaseImpl& db, AdminTables tables, MessageFilter filter);

}  // namespace txm::dynamodb::detail
