#include "stores/dynamodb/counters.hpp"

namespace txm::dynamodb::detail {
namespace {

// No name of a table has a blank.
std::string key_of(std::string_view state_table, const AggregateId& aggregate_id) {
    std::string key;
    key.reserve(state_table.size() + 1 + aggregate_id.str().size());
    key.append(state_table).append(" ").append(aggregate_id.str());
    return key;
}

}  // namespace

std::optional<Counter> Counters::find(std::string_view state_table, const AggregateId& aggregate_id) {
    const std::string key = key_of(state_table, aggregate_id);
    const std::scoped_lock lock{mutex_};
    const auto found = by_key_.find(key);
    if (found == by_key_.end())
        return std::nullopt;
    used_.splice(used_.begin(), used_, found->second);
    return found->second->counter;
}

void Counters::put(std::string_view state_table, const AggregateId& aggregate_id, const Counter& counter,
                   bool is_certain) {
    std::string key = key_of(state_table, aggregate_id);
    const std::scoped_lock lock{mutex_};
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
        used_.splice(used_.begin(), used_, found->second);
        if (is_certain || found->second->counter.last < counter.last)
            found->second->counter = counter;
        return;
    }
    used_.push_front({std::move(key), counter});
    by_key_.emplace(used_.front().key, used_.begin());
    if (used_.size() <= most_)
        return;
    by_key_.erase(used_.back().key);
    used_.pop_back();
}

}  // namespace txm::dynamodb::detail
