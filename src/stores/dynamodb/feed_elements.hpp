#pragma once

#include "stores/dynamodb/feed_given.hpp"
#include "stores/dynamodb/feed_lanes.hpp"
#include "stores/dynamodb/transact_item.hpp"
#include "txm/feed.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace txm::dynamodb::detail {

/// Elements of transactions that belong together: all of them are written, or none.
using Elements = std::vector<std::string>;

/// What becomes of a lane that is or will be blocked.
struct LaneChange {
    std::optional<Timestamp> next_attempt{};  ///< none: held
    Sequence from = 0;
    int attempts = 0;
    std::string reason{};
    Uuid held_message{};
};

/// Puts together what a feed writes. No I/O.
class FeedElements {
public:
    FeedElements(const FeedTables& tables, std::optional<std::chrono::seconds> retention)
        : tables_(tables), retention_(retention) {}

    /// The row of a message that a broker acknowledged says so; what was known of its trouble is gone.
    /// @param is_unexpected whatever the row says: it was given up by an operator, or is the feed's again
    Elements dispatched(const GivenMessage& message, Timestamp time, bool is_unexpected) const;
    /// The same, beside the active relay and not by it. Refused when the message is a dead letter, or skipped.
    Elements dispatched_beside(const GivenMessage& message, Timestamp time) const;
    /// A message becomes a dead letter.
    Elements dead(const GivenMessage& message, const Outcome& outcome, Timestamp time) const;
    /// A message becomes a member of a blocked lane. @param attempts of it
    Elements parked(const GivenMessage& message, int attempts) const;
    std::string attempts(const Uuid& message_id, int attempts) const;

    /// @param old as it was read; it must still be so
    Elements lane(const AggregateId& aggregate_id, const std::optional<BlockedLane>& old,
                  const LaneChange& change) const;
    /// The lane is blocked.
    std::string blocked(const AggregateId& aggregate_id) const;
    Elements end_of(const DueLane& lane) const;
    /// A member of a lane that is settled, as it was read, is none any more. Refused when an operator sends it again meanwhile.
    Elements forgotten(const ParkedMember& member, const FeedRow& row) const;
    /// The row of a message is still settled.
    std::string settled(const std::string& row_key) const;
    /// No dead letter of the lane holds it any more.
    std::string let_go(Sequence sequence, const Uuid& message_id) const;

private:
    Elements mark(const GivenMessage& message, Timestamp time, Condition row, const Condition& state) const;
    std::string row_update(const GivenMessage& message, std::string_view mark, std::string_view condition) const;
    Item state_of(const GivenMessage& message, std::string_view state, int attempts) const;
    std::string end_of_state(Item key, int replays, const Condition& condition) const;

    const FeedTables& tables_;
    std::optional<std::chrono::seconds> retention_;
};

}  // namespace txm::dynamodb::detail
