#pragma once

#include "txm/timestamp.hpp"
#include "txm/uuid.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace txm::dynamodb::detail {

/// How far a shard is read, and how far it is done with: a position passes a record only when its message is settled or parked.
/// *Thread safety*: none.
class ShardPosition {
public:
    using IsOpen = std::function<bool(const Uuid&)>;

    /// What is stored when a shard was read to its end.
    static constexpr const char* end_of_shard = "END";

    explicit ShardPosition(std::string stored = {}) : read_(stored), stored_(std::move(stored)) {}

    /// A record was read. @param message_id of the message that it makes a candidate
    void read(std::string sequence_number, const std::optional<Uuid>& message_id, const IsOpen& is_open);
    void read_to_end() { read_ = end_of_shard; }

    /// Where reading goes on; empty: at the shard's start.
    const std::string& last_read() const noexcept { return read_; }
    /// Where a new reader must go on, when that is news.
    std::optional<std::string> take_news(const IsOpen& is_open);
    void take_back_news() { stored_ = "?"; }

private:
    void compact(const IsOpen& is_open);

    struct Entry {
        std::string sequence_number;
        Uuid message_id;
    };

    std::deque<Entry> entries_;  // of open messages, and of some that are not any more
    std::size_t compact_at_ = 4096;
    std::string read_, passed_, stored_;
};

struct StreamShard {
    using Clock = std::chrono::steady_clock;

    std::string id, parent;
    ShardPosition position{};
    std::string iterator{};
    bool is_closed = false;          ///< it has an end
    bool is_finished = false;        ///< and that was read
    bool is_caught_up = false;       ///< what is read now was just written
    int empty_reads = 0;             ///< in a row
    std::size_t record_size = 4096;  ///< in bytes of an answer, as the last one had it
    Clock::time_point next_read{};
    Timestamp newest{};  ///< when the change was made that was read last
};

}  // namespace txm::dynamodb::detail
