#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/feed_rows.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace txm::dynamodb::detail {

/// Walks through the index of undispatched messages, oldest first, page by page, and begins anew after its end. The index is
/// behind the table in both ways: what it shows may be dispatched, and what is not dispatched may not be shown yet.
/// *Thread safety*: one coroutine at a time.
class FeedIndex {
public:
    FeedIndex(DatabaseImpl& db, const FeedTables& tables) : db_(db), tables_(tables) {}

    /// Keys of the rows of the next page that are at least that old.
    boost::asio::awaitable<std::vector<std::string>> next_page(std::chrono::milliseconds min_age, std::size_t limit);
    /// Nothing was read since the end was reached.
    bool is_at_start() const noexcept { return next_.empty(); }
    void restart() { next_.clear(); }

private:
    DatabaseImpl& db_;
    const FeedTables& tables_;
    Item next_;
};

}  // namespace txm::dynamodb::detail
