#include "stores/dynamodb/feed_chain.hpp"

#include <algorithm>
#include <utility>

namespace txm::dynamodb::detail {

void Chain::passed(const AggregateId& aggregate_id, Sequence sequence) {
    if (sequence <= 0)
        return;
    const auto found = index_.find(aggregate_id.str());
    if (found != index_.end()) {
        found->second->passed = std::max(found->second->passed, sequence);
        entries_.splice(entries_.begin(), entries_, found->second);
        return;
    }
    if (entries_.size() >= capacity_) {
        index_.erase(entries_.back().aggregate_id);
        entries_.pop_back();
    }
    entries_.push_front({aggregate_id.str(), sequence});
    index_.emplace(entries_.front().aggregate_id, entries_.begin());
}

void Chain::forget(const AggregateId& aggregate_id) {
    const auto found = index_.find(aggregate_id.str());
    if (found == index_.end())
        return;
    const auto entry = found->second;
    index_.erase(found);
    entries_.erase(entry);
}

void Chain::clear() {
    index_.clear();
    entries_.clear();
}

Sequence Chain::passed_of(const AggregateId& aggregate_id) {
    const auto found = index_.find(aggregate_id.str());
    if (found == index_.end())
        return 0;
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->passed;
}

bool Chain::is_next(const Candidate& candidate) {
    return candidate.previous.is_nil() || passed_of(candidate.message.aggregate_id) >= candidate.message.sequence - 1;
}

bool Chain::is_past(const Candidate& candidate) {
    return candidate.message.sequence > 0 && passed_of(candidate.message.aggregate_id) >= candidate.message.sequence;
}

void Chain::sort(std::vector<Candidate>& candidates) {
    std::unordered_map<std::string_view, std::vector<std::size_t>> places;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        if (candidates[i].message.sequence > 0)
            places[candidates[i].message.aggregate_id.str()].push_back(i);
    }
    // The places refer to what is moved below: only what is needed is kept.
    std::vector<std::vector<std::size_t>> lanes;
    for (auto& [aggregate_id, of_lane] : places) {
        const auto sequence_at = [&](std::size_t i) { return candidates[i].message.sequence; };
        if (!std::ranges::is_sorted(of_lane, {}, sequence_at))
            lanes.push_back(std::move(of_lane));
    }
    places.clear();
    for (const std::vector<std::size_t>& of_lane : lanes) {
        std::vector<Candidate> sorted;
        for (const std::size_t i : of_lane)
            sorted.push_back(std::move(candidates[i]));
        std::ranges::stable_sort(sorted, {}, [](const Candidate& c) { return c.message.sequence; });
        for (std::size_t i = 0; i < of_lane.size(); ++i)
            candidates[of_lane[i]] = std::move(sorted[i]);
    }
}

}  // namespace txm::dynamodb::detail
