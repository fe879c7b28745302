#pragma once

#include "txm/message.hpp"

#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace txm::dynamodb::detail {

/// The last message of an aggregate, as its counter item has it.
struct Counter {
    Sequence last = 0;  ///< 0: the aggregate has no message yet
    Uuid last_message_id;

    friend bool operator==(const Counter&, const Counter&) = default;
};

/// What this process last saw of aggregates' counters: a guess to number the next message with, which the store confirms.
/// The longest unused are forgotten. *Thread safety*: any number of threads.
class Counters {
public:
    explicit Counters(std::size_t most = 10'000) : most_(most) {}

    /// None: not seen, or forgotten.
    std::optional<Counter> find(std::string_view state_table, const AggregateId& aggregate_id);
    /// An older counter than the known one changes nothing, unless `is_certain`.
    void put(std::string_view state_table, const AggregateId& aggregate_id, const Counter& counter, bool is_certain);

private:
    struct Entry {
        std::string key;
        Counter counter;
    };

    const std::size_t most_;
    std::mutex mutex_;
    std::list<Entry> used_;  // the latest first
    std::unordered_map<std::string_view, std::list<Entry>::iterator> by_key_;
};

}  // namespace txm::dynamodb::detail
