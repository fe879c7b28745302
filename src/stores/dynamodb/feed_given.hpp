#pragma once

#include "stores/dynamodb/feed_candidate.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace txm::dynamodb::detail {

/// What is known of a message that was given: enough to settle it or to park it, without the message.
struct GivenMessage {
    GivenMessage() = default;
    explicit GivenMessage(const Candidate& candidate);

    Uuid message_id;
    AggregateId aggregate_id;
    Sequence sequence = 0;
    std::string topic;
    std::string row_key;
    int attempts = 0;
    int replays = 0;
    bool is_parked = false;
    bool has_state = false;  ///< the state table says something of it
};

/// What a feed has given and not got back, by lane. It is as large as what is in flight: neither the backlog nor the number of
/// blocked lanes makes it grow.
/// *Thread safety*: none; its feed locks.
class Given {
public:
    void give(GivenMessage message);
    /// Whether messages of the lane are out that were parked: its next ones are not read before these are settled.
    bool has_run(std::string_view aggregate_id) const;
    std::size_t runs() const noexcept { return runs_; }

    std::optional<GivenMessage> find(const AggregateId& aggregate_id, const Uuid& message_id) const;
    /// In the order in which they were given.
    std::vector<GivenMessage> of_lane(const AggregateId& aggregate_id, Sequence from) const;
    void set_attempts(const AggregateId& aggregate_id, const Uuid& message_id, int attempts);

    /// It is settled or given back. True when it was the last of a run: more of its lane may be read.
    bool remove(const AggregateId& aggregate_id, const Uuid& message_id);

    bool empty() const noexcept { return lanes_.empty(); }
    void clear();

private:
    struct Lane {
        std::deque<GivenMessage> messages{};
        std::size_t parked = 0;  // how many of them are of a run
    };

    std::unordered_map<std::string, Lane> lanes_;
    std::size_t runs_ = 0;
};

/// The lanes that became blocked while a read was under way, which does not know it.
/// *Thread safety*: none; its feed locks.
class BlockedMeanwhile {
public:
    void begin_block(const AggregateId& aggregate_id) {
        ++unfinished_[aggregate_id.str()];
        lanes_.insert(aggregate_id.str());
    }
    void end_block(const AggregateId& aggregate_id) {
        const auto lane = unfinished_.find(aggregate_id.str());
        if (lane != unfinished_.end() && --lane->second == 0)
            unfinished_.erase(lane);
    }
    /// The table is about to be asked which lanes are blocked: it will tell all but those that are not written yet.
    void begin_read() {
        lanes_.clear();
        for (const auto& [lane, count] : unfinished_)
            lanes_.insert(lane);
    }
    bool contains(const AggregateId& aggregate_id) const {
        return !lanes_.empty() && lanes_.contains(aggregate_id.str());
    }

private:
    std::unordered_map<std::string, int> unfinished_;
    std::unordered_set<std::string> lanes_;
};

}  // namespace txm::dynamodb::detail
