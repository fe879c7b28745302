#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/feed_elements.hpp"
#include "stores/dynamodb/feed_given.hpp"
#include "stores/dynamodb/feed_lanes.hpp"
#include "stores/dynamodb/feed_rows.hpp"

#include <boost/asio/awaitable.hpp>

#include <vector>

namespace txm::dynamodb::detail {

/// Marks what a step has sent. Not under the lease of the relays: whoever sent a message may say so, and a relay may do
/// something with it at the same time.
class StepMarks {
public:
    StepMarks(DatabaseImpl& db, const FeedTables& tables, const FeedLanes& lanes, const FeedElements& elements)
        : db_(db), tables_(tables), lanes_(lanes), elements_(elements) {}

    /// What became a dead letter meanwhile is none any more, and a lane that it holds goes on.
    boost::asio::awaitable<void> write(std::vector<GivenMessage> messages) const;

private:
    boost::asio::awaitable<void> write_refused(std::string row_key) const;

    DatabaseImpl& db_;
    const FeedTables& tables_;
    const FeedLanes& lanes_;
    const FeedElements& elements_;
};

}  // namespace txm::dynamodb::detail
