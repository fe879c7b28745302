#pragma once

#include "stores/dynamodb/feed_candidate.hpp"

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace txm::dynamodb::detail {

/// How far the messages of aggregates have been given. It remembers those that were last in use, so that most messages need
/// no question about the one before them; what it has forgotten is asked for.
/// *Thread safety*: none; its feed locks.
class Chain {
public:
    /// Of aggregates that are remembered.
    static constexpr std::size_t default_capacity = 16'384;

    explicit Chain(std::size_t capacity = default_capacity) : capacity_(capacity) {}

    /// All messages of the aggregate up to that one are given or settled.
    void passed(const AggregateId& aggregate_id, Sequence sequence);
    /// Nothing is known of the aggregate any more.
    void forget(const AggregateId& aggregate_id);
    void clear();

    /// It is known that nothing comes before it that has not been given.
    bool is_next(const Candidate& candidate);
    /// It seems to have been given before.
    bool is_past(const Candidate& candidate);

    /// Brings the messages of each aggregate into the order of their numbers, each aggregate in the places that it has.
    static void sort(std::vector<Candidate>& candidates);

private:
    struct Entry {
        std::string aggregate_id;
        Sequence passed;
    };

    Sequence passed_of(const AggregateId& aggregate_id);

    std::size_t capacity_;
    std::list<Entry> entries_;  // last used first
    std::unordered_map<std::string_view, std::list<Entry>::iterator> index_;
};

}  // namespace txm::dynamodb::detail
