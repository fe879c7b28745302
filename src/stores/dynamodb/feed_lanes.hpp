#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/feed_rows.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace txm::dynamodb::detail {

/// A blocked lane as the state table has it.
struct BlockedLane {
    std::optional<Timestamp> next_attempt{};  ///< none: held
    Sequence held_sequence = 0;               ///< of the dead letter that holds it
    Uuid held_message{};
};

struct DueLane {
    AggregateId aggregate_id;
    Timestamp next_attempt{};
};

struct DueLanes {
    std::vector<DueLane> lanes{};
    std::optional<Timestamp> next{};  ///< when more will be due
};

struct ParkedMember {
    Item key;
    std::string row_key;
};

/// Asks which lanes are blocked, and what is parked in them. Nothing of it is kept in memory.
class FeedLanes {
public:
    FeedLanes(DatabaseImpl& db, const FeedTables& tables) : db_(db), tables_(tables) {}

    boost::asio::awaitable<bool> any() const;
    boost::asio::awaitable<std::optional<BlockedLane>> find(AggregateId aggregate_id) const;
    /// Those of the lanes that are blocked.
    boost::asio::awaitable<std::set<std::string>> blocked(std::vector<std::string> aggregate_ids) const;
    boost::asio::awaitable<DueLanes> due(Timestamp time, std::size_t limit) const;
    /// The first members of a lane.
    boost::asio::awaitable<std::vector<ParkedMember>> members(AggregateId aggregate_id, std::size_t limit) const;

private:
    DatabaseImpl& db_;
    const FeedTables& tables_;
};

}  // namespace txm::dynamodb::detail
