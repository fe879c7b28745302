#pragma once

#include "txm/message.hpp"

#include <boost/intrusive/list.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>

namespace txm::relay {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

struct Destination;

/// A message that waits in its lane.
struct Item {
    StoredMessage message;
    int lost = 0;               ///< sends whose outcome never became known
    std::uint64_t lost_at = 0;  ///< the tick of the last such send that spent no attempt yet; 0: none
    bool suspect = false;       ///< may have killed the previous owner of the lease
};

enum class LaneState : std::uint8_t {
    ready,        ///< in one of the lists of lanes that may send
    in_flight,    ///< its first message, or a run of its first ones, is being sent
    backing_off,  ///< waits to try its first message again
    deciding,     ///< waits until a dead letter of it is recorded, then goes on
    leaving,      ///< waits until it is recorded as blocked; its messages are the feed's again
};

using Unlinking = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// The messages of one aggregate that are in memory, first to be sent first.
struct Lane : Unlinking {
    AggregateId aggregate_id;
    std::list<Item> queue{};
    std::size_t bytes = 0;
    LaneState state = LaneState::ready;
    int in_flight = 0;
    std::optional<TimePoint> blocked_since{};
    std::multimap<TimePoint, Lane*>::iterator timer{};  ///< while it is backing off
    std::string reason{};                               ///< why it is backing off

    void unlist() noexcept {
        if (is_linked())
            unlink();
    }
};

using LaneList = boost::intrusive::list<Lane, boost::intrusive::constant_time_size<false>>;

/// What fails together: an endpoint, a topic, a whole broker.
struct Destination {
    std::string name;
    LaneList ready{};
    LaneList alone{};  ///< lanes whose first message was lost again and again: each is sent with nothing beside it
    std::size_t batches_in_flight = 0;
    bool alone_in_flight = false;
    bool alone_is_next = true;          ///< lanes of `ready` and of `alone` take turns
    std::uint64_t acknowledged_at = 0;  ///< tick of the last acknowledgement
    TimePoint flowed_at{};              ///< time of the last acknowledgement
    bool is_down = false;
    int failures = 0;  ///< in a row, while it is down
    TimePoint down_since{};
    TimePoint retry_at{};
    TimePoint explore_at{};  ///< while it is down: when to look past its messages for others
    std::string why{};

    bool has_lanes() const noexcept { return !ready.empty() || !alone.empty(); }
};

}  // namespace txm::relay
