#pragma once

#include "txm/message.hpp"

#include <cstddef>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace txm::dynamodb::detail {

/// The last message of an aggregate.
struct Counter {
    Sequence last = 0;  ///< 0: the aggregate has no message yet
    Uuid last_message_id{};
    bool is_stored = false;  ///< its item is there

    friend bool operator==(const Counter&, const Counter&) = default;
};

/// What this process last saw of aggregates' counters: a guess to number the next message with, which the store confirms.
/// The longest unused are forgotten. *Thread safety*: any number of threads.
class Counters {
public:
    explicit Counters(std::size_t most = 10'000) : most_(most) {}

    /// One that was not seen, or is forgotten, is as that of a new aggregate.
    Counter find(std::string_view state_table, const AggregateId& aggregate_id);
    /// After a commit: an older one than what is known changes nothing.
    void advance(std::string_view state_table, const AggregateId& aggregate_id, const Counter& counter);
    /// After `expected` was refused, because `actual` is there. Changes nothing when another coroutine learned more meanwhile.
    void correct(std::string_view state_table, const AggregateId& aggregate_id, const Counter& expected,
                 const Counter& actual);

private:
    struct Entry {
        std::string key;
        Counter counter;
    };

    Counter* used(const std::string& key);
    void add(std::string key, const Counter& counter);

    const std::size_t most_;
    std::mutex mutex_;
    std::list<Entry> entries_;  // the last used first
    std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;
};

}  // namespace txm::dynamodb::detail
