#pragma once

#include "sqlite/connection.hpp"
#include "stores/sqlite/feed_scan.hpp"
#include "txm/feed.hpp"

#include <cstddef>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <vector>

namespace txm::sqlite::detail {

/// Outcomes in the form that a transaction needs, owned: the transaction may outlive whoever asked for it.
struct Settlements {
    explicit Settlements(std::span<const Outcome> outcomes);

    auto held() const {
        return std::views::filter(dead, [](const Outcome& outcome) { return outcome.settlement == Settlement::held; });
    }

    std::vector<Sequence> dispatched;   ///< ascending
    std::vector<Outcome> dead;          ///< and held
    std::vector<Sequence> behind_held;  ///< what else was given of held lanes: to be parked
};

/// What a feed writes: each function is the body of one transaction, after the fence was checked in it.
class FeedWrites {
public:
    FeedWrites(const std::string& table, bool delete_dispatched);

    void settle(Connection& connection, const Settlements& settlements) const;
    void park(Connection& connection, const AggregateId& aggregate_id, Sequence from, int attempts,
              Timestamp next_attempt, std::string_view reason, std::span<const Sequence> given) const;
    void unpark(Connection& connection, std::string_view aggregate_id) const;
    void mark_attempts(Connection& connection, std::span<const Outcome> starting) const;

    /// Parks pending messages of blocked lanes, given in order; gives the first one whose lane is not blocked.
    std::optional<Sequence> park_pending(Connection& connection, std::span<const Sequence> sequences) const;
    void mend_times(Connection& connection) const;
    void end_lanes(Connection& connection, std::span<const std::string> lanes) const;

    /// Deletes dispatched messages last dispatched before `cutoff`, among the next rows after `after`. Gives where to go
    /// on; nothing when there is nothing more to look at.
    std::optional<Sequence> delete_dispatched(Connection& connection, Sequence after, Timestamp cutoff) const;

private:
    void settle_unexpected_of(Connection& connection, std::span<const Sequence> run, std::string_view time) const;
    void settle_unexpected(Connection& connection, Sequence sequence, std::string_view time) const;

    std::string table_;
    std::string dispatched_, dispatched_anyway_, is_settled_, find_, name_, dead_, park_head_, park_given_, attempts_,
        park_pending_, is_pending_, old_, delete_;
    bool delete_dispatched_;
};

}  // namespace txm::sqlite::detail
