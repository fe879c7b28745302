#pragma once

#include "sqlite/connection.hpp"
#include "txm/message.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace txm::sqlite::detail {

/// One look at an outbox: which messages come next. Reads only; each statement is reset before it returns, so that no
/// snapshot stays open while messages are on their way and checkpoints are never held up.
struct ScanRequest {
    Sequence after = 0;         ///< pending messages from here on
    std::size_t max = 0;        ///< messages, of blocked lanes and others
    std::size_t max_bytes = 0;  ///< of payload, beyond the first message
    std::size_t max_payload = 0;
    std::size_t lanes_out = 0;  ///< how many blocked lanes have messages in flight
    /// Whether a blocked lane has messages in flight, so that no more of it may be given. Called on the reader's thread.
    std::function<bool(std::string_view aggregate_id)> is_lane_out;
};

struct ScanResult {
    // Rows that no message can be made of are among them, see OutboxFeed::read().
    std::vector<StoredMessage> of_lanes;   ///< first messages of blocked lanes that are due, lane by lane
    std::vector<StoredMessage> pending;    ///< in commit order
    std::vector<Sequence> to_park;         ///< pending, of blocked lanes
    std::vector<std::string> empty_lanes;  ///< due, without a message
    std::optional<Timestamp> next_due;     ///< of a lane that is not due yet
    Sequence scanned_to = 0;               ///< pending messages up to here are in one of the lists

    bool found_anything() const noexcept {
        return !of_lanes.empty() || !pending.empty() || !to_park.empty() || !empty_lanes.empty();
    }
};

class FeedScan {
public:
    explicit FeedScan(const std::string& table);

    ScanResult run(Connection& connection, const ScanRequest& request) const;

    /// Nothing pending, and nothing parked that is not held.
    bool is_drained(Connection& connection) const;

private:
    class Pass;

    std::string table_;
    std::string has_lanes_, due_lanes_, next_due_, lane_head_, pending_, pending_or_blocked_, drained_;
};

}  // namespace txm::sqlite::detail
