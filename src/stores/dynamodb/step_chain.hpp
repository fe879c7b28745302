#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/feed_candidate.hpp"
#include "stores/dynamodb/feed_rows.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace txm::dynamodb::detail {

/// Finds the messages that wait and come before those of an event in their aggregates. Of many it keeps the keys only, and of
/// very many those that must be sent first: the rest is found when these are sent.
/// *Thread safety*: one coroutine at a time. *Lifetime*: of one event.
class StepChain {
public:
    StepChain(DatabaseImpl& db, const FeedTables& tables) : db_(db), tables_(tables) {}

    /// Adds the predecessors of candidates, and brings all into order. @return candidates that were taken out of them, because
    /// not all that must be sent before them was found
    boost::asio::awaitable<std::vector<Candidate>> complete(std::vector<Candidate>& candidates);

private:
    using Lanes = std::set<std::string, std::less<>>;

    bool is_open(const Uuid& previous) const;
    boost::asio::awaitable<void> walk_back(std::vector<Candidate>& candidates);
    boost::asio::awaitable<void> find_oldest(std::vector<Candidate>& candidates, const Lanes& lanes);
    boost::asio::awaitable<void> walk_to_start(std::vector<Candidate>& candidates, const Lanes& lanes);
    boost::asio::awaitable<void> read_predecessors(std::vector<Candidate>& candidates, std::vector<std::string> keys);
    std::vector<Candidate> cut(std::vector<Candidate>& candidates, const Lanes& lanes) const;
    void add(std::vector<Candidate>& candidates, Candidate candidate);

    DatabaseImpl& db_;
    const FeedTables& tables_;
    std::unordered_set<Uuid> known_;    // of candidates
    std::unordered_set<Uuid> settled_;  // nothing waits for them
    std::size_t added_ = 0;
    std::size_t bytes_ = 0;  // of payload of what was added, as it is in memory
};

}  // namespace txm::dynamodb::detail
