#include "stores/sqlite/feed_checked_out.hpp"

#include <algorithm>
#include <functional>

namespace txm::sqlite::detail {

void CheckedOut::give(Sequence sequence, const AggregateId& aggregate_id) {
    entries_.push_back({sequence, std::hash<AggregateId>{}(aggregate_id), true});
    ++live_;
}

void CheckedOut::give_run(Sequence sequence, const AggregateId& aggregate_id) {
    runs_[aggregate_id.str()].push_back(sequence);
}

bool CheckedOut::has_run(std::string_view aggregate_id) const {
    return !runs_.empty() && runs_.contains(std::string(aggregate_id));
}

bool CheckedOut::settle(Sequence sequence, const AggregateId& aggregate_id) {
    if (!runs_.empty()) {
        const auto run = runs_.find(aggregate_id.str());
        if (run != runs_.end() && std::erase(run->second, sequence) > 0) {
            if (!run->second.empty())
                return false;
            runs_.erase(run);
            return true;
        }
    }
    remove(sequence);
    compact();
    return false;
}

std::vector<Sequence> CheckedOut::of_lane(const AggregateId& aggregate_id, Sequence from) const {
    const std::size_t hash = std::hash<AggregateId>{}(aggregate_id);
    std::vector<Sequence> sequences;
    for (const Entry& entry : entries_) {
        if (entry.is_out && entry.lane_hash == hash && entry.sequence >= from)
            sequences.push_back(entry.sequence);
    }
    return sequences;
}

void CheckedOut::give_back(const AggregateId& aggregate_id, Sequence from) {
    runs_.erase(aggregate_id.str());
    for (const Sequence sequence : of_lane(aggregate_id, from))
        remove(sequence);
    compact();
}

void CheckedOut::clear() {
    entries_.clear();
    runs_.clear();
    live_ = 0;
}

void CheckedOut::remove(Sequence sequence) {
    const auto entry = std::ranges::lower_bound(entries_, sequence, {}, &Entry::sequence);
    if (entry == entries_.end() || entry->sequence != sequence || !entry->is_out)
        return;
    entry->is_out = false;
    --live_;
}

void CheckedOut::compact() {
    while (!entries_.empty() && !entries_.front().is_out)
        entries_.pop_front();
    if (entries_.size() > 1024 && live_ < entries_.size() / 2)
        std::erase_if(entries_, [](const Entry& entry) { return !entry.is_out; });
}

void BlockedMeanwhile::begin_block(const AggregateId& aggregate_id) {
    ++unfinished_[aggregate_id.str()];
    lanes_.insert(aggregate_id.str());
}

void BlockedMeanwhile::end_block(const AggregateId& aggregate_id) {
    const auto lane = unfinished_.find(aggregate_id.str());
    if (lane != unfinished_.end() && --lane->second == 0)
        unfinished_.erase(lane);
}

void BlockedMeanwhile::begin_read() {
    lanes_.clear();
    for (const auto& [lane, count] : unfinished_)
        lanes_.insert(lane);
}

}  // namespace txm::sqlite::detail
