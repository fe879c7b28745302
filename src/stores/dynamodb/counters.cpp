#include "stores/dynamodb/counters.hpp"

namespace txm::dynamodb::detail {
namespace {

// No name of a table has a blank.
std::string name_of(std::string_view state_table, const AggregateId& aggregate_id) {
    std::string name;
    name.reserve(state_table.size() + 1 + aggregate_id.str().size());
    name.append(state_table).append(" ").append(aggregate_id.str());
    return name;
}

}  // namespace

Counter* Counters::used(const std::string& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end())
        return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return &found->second->counter;
}

void Counters::add(std::string key, const Counter& counter) {
    entries_.push_front({std::move(key), counter});
    by_key_.emplace(entries_.front().key, entries_.begin());
    if (entries_.size() <= most_)
        return;
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
}

Counter Counters::find(std::string_view state_table, const AggregateId& aggregate_id) {
    const std::string key = name_of(state_table, aggregate_id);
    const std::scoped_lock lock{mutex_};
    const Counter* known = used(key);
    return known ? *known : Counter{};
}

void Counters::advance(std::string_view state_table, const AggregateId& aggregate_id, const Counter& counter) {
    std::string key = name_of(state_table, aggregate_id);
    const std::scoped_lock lock{mutex_};
    Counter* known = used(key);
    if (!known)
        add(std::move(key), counter);
    else if (known->last < counter.last)
        *known = counter;
}

void Counters::correct(std::string_view state_table, const AggregateId& aggregate_id, const Counter& expected,
                       const Counter& actual) {
    std::string key = name_of(state_table, aggregate_id);
    const std::scoped_lock lock{mutex_};
    Counter* known = used(key);
    if (!known)
        add(std::move(key), actual);
    else if (*known == expected)
        *known = actual;
}

}  // namespace txm::dynamodb::detail
