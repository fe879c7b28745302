#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/feed_candidate.hpp"
#include "stores/dynamodb/feed_rows.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

namespace txm::dynamodb::detail {

/// Finds the messages that wait and come before those of an event in their aggregates. Of many it keeps the keys only, and of
/// very many those that must be sent first: the rest is found when these are sent.
/// *Thread safety*: one coroutine at a time. *Lifetime*: until what it found is sent.
class StepChain {
public:
    StepChain(DatabaseImpl& db, const FeedTables& tables) : db_(db), tables_(tables) {}

    /// Adds the predecessors of candidates that are near, and brings all into order. @return those that were taken out: of
    /// lanes with more before them than was found
    boost::asio::awaitable<std::vector<Candidate>> add_near(std::vector<Candidate>& candidates);

    /// Finds where lanes begin. It ends before it has found all of them when others can be sent, and are not to wait.
    /// @param open what add_near() took out; what remains in it has to wait for the next time
    /// @return what can be sent, in order
    boost::asio::awaitable<std::vector<Candidate>> find_starts(std::vector<Candidate>& open);

private:
    /// A lane whose first message is looked for.
    struct Lane {
        Sequence first = std::numeric_limits<Sequence>::max();  // of those that are known
        Uuid previous{};                                        // of that one
        std::map<Sequence, Candidate> found{};                  // the lowest that were

        bool note(const Candidate& candidate);
    };
    using Lanes = std::map<std::string, Lane, std::less<>>;
    using Hear = std::function<void(Candidate)>;

    bool is_open(const Uuid& previous) const;
    boost::asio::awaitable<void> walk_back(std::vector<Candidate>& candidates);
    boost::asio::awaitable<Item> read_page(Item from, Lanes& lanes, std::size_t most);
    boost::asio::awaitable<bool> walk_on(Lanes& lanes, std::size_t most);
    boost::asio::awaitable<void> read_predecessors(std::vector<std::string> keys, const Hear& hear);
    std::size_t count_open(const Lanes& lanes) const;
    bool add(Lane& lane, Candidate candidate, std::size_t most);
    Candidate shortened(Candidate candidate);
    std::vector<Candidate> take_ready(std::vector<Candidate>& open, Lanes& lanes) const;

    DatabaseImpl& db_;
    const FeedTables& tables_;
    std::unordered_set<Uuid> known_;    // of candidates
    std::unordered_set<Uuid> settled_;  // nothing waits for them
    std::size_t added_ = 0;
    std::size_t bytes_ = 0;  // of payload of what was added, as it is in memory
};

}  // namespace txm::dynamodb::detail
