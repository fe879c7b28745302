#pragma once

#include "txm/message.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace txm::sqlite::detail {

/// What a feed has given and not got back. It holds numbers, not messages, and only of what is in flight: neither the
/// backlog nor the number of blocked lanes makes it grow.
/// *Thread safety*: none; its feed locks.
class CheckedOut {
public:
    /// A message of a lane that is not blocked. Sequences grow from call to call, except after clear().
    void give(Sequence sequence, const AggregateId& aggregate_id);
    /// One of the first messages of a blocked lane; its next ones are not read before these are settled.
    void give_run(Sequence sequence, const AggregateId& aggregate_id);
    bool has_run(std::string_view aggregate_id) const;
    std::size_t runs() const noexcept { return runs_.size(); }

    /// True when it was the last of a run: the next ones of its lane may be read.
    bool settle(Sequence sequence, const AggregateId& aggregate_id);

    /// The messages of a lane from `from` on that are out and not part of a run. They may be those of another lane whose
    /// hash is the same: the statement that uses them compares the aggregate.
    std::vector<Sequence> of_lane(const AggregateId& aggregate_id, Sequence from) const;
    /// The lane is given back: its run, and its other messages from `from` on.
    void give_back(const AggregateId& aggregate_id, Sequence from);

    bool empty() const noexcept { return live_ == 0 && runs_.empty(); }
    void clear();

private:
    struct Entry {
        Sequence sequence;
        std::size_t lane_hash;
        bool is_out;
    };

    void remove(Sequence sequence);
    void compact();

    // Ordered by sequence, which settling does not follow: entries that are done stay until they reach the front, or until
    // they are the majority.
    std::deque<Entry> entries_;
    std::size_t live_ = 0;
    std::unordered_map<std::string, std::vector<Sequence>> runs_;
};

/// The lanes that became blocked while a read was under way, whose snapshot does not know it.
/// *Thread safety*: none; its feed locks.
class BlockedMeanwhile {
public:
    void begin_block(const AggregateId& aggregate_id);
    void end_block(const AggregateId& aggregate_id);
    /// A new snapshot is about to be taken: it will see all but the blocks that are not committed yet.
    void begin_read();
    bool contains(const AggregateId& aggregate_id) const {
        return !lanes_.empty() && lanes_.contains(aggregate_id.str());
    }
    bool empty() const noexcept { return lanes_.empty(); }

private:
    std::unordered_map<std::string, int> unfinished_;
    std::unordered_set<std::string> lanes_;
};

}  // namespace txm::sqlite::detail
