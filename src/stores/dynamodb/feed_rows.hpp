#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/feed_candidate.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace txm::dynamodb::detail {

/// The tables of a feed, and what it has to know of their rows.
struct FeedTables {
    std::string outbox, state;
    bool compat = false;
    std::size_t max_payload = 0;
};

enum class RowState : std::uint8_t {
    settled,  ///< dispatched, deleted, or given up by an operator: nothing waits for it
    parked,
    dead,  ///< a dead letter: its lane goes on, unless it is blocked
    pending,
};

struct FeedRow {
    RowState state = RowState::settled;
    Candidate candidate{};  ///< read and checked; of settled ones only the key
};

/// Reads rows of the outbox with what the state table says of them, strongly consistent, many at a time.
boost::asio::awaitable<std::vector<FeedRow>> read_rows(DatabaseImpl& db, const FeedTables& tables,
                                                       std::vector<std::string> row_keys);

}  // namespace txm::dynamodb::detail
