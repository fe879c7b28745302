#pragma once

#include "txm/subscription.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace txm::detail {

/// Where a delivery in memory came from, and so how it is done with: acknowledged, or unparked.
enum class Origin : std::uint8_t { broker, store };

/// A delivery in memory.
struct Entry {
    Entry(Delivery d, Origin o, int tries_before) : delivery(std::move(d)), origin(o), tries(tries_before) {}

    Delivery delivery;
    Origin origin;
    bool must_park = false;            ///< its lane is parked in the store: it goes behind what is there
    int tries;                         ///< that failed and were its own failure
    bool is_suspect = false;           ///< its last try met an unavailable store …
    std::uint64_t successes_then = 0;  ///< … when that many other tries had succeeded
    bool is_acknowledged = false;
    bool is_nameless = false;  ///< it came without a message id, and nothing to derive one from
    std::string failure{};     ///< of its last try
    std::chrono::steady_clock::time_point extended_at{};
};

/// Shared, because a delivery may be extended while it is handled.
using EntryPtr = std::shared_ptr<Entry>;

/// Which delivery may be handled when: the consumer's scheduling without any I/O. A lane is one aggregate of one topic,
/// first in first out; it is ready, running (one worker has it), or waiting for a retry. A lane without entries that no
/// worker has does not exist.
class Lanes {
public:
    using Time = std::chrono::steady_clock::time_point;

    /// One lane. Its worker reads `head()` and ends the turn with one function of Lanes.
    class Lane {
    public:
        const EntryPtr& head() const noexcept { return queue_.front(); }
        bool is_empty() const noexcept { return queue_.empty(); }
        const std::string& key() const noexcept { return *key_; }
        /// When its head failed first; none while it flows.
        const std::optional<Time>& blocked_since() const noexcept { return blocked_since_; }
        /// When its blocked head was to be tried again.
        Time retry_at() const noexcept { return retry_at_; }

    private:
        friend class Lanes;
        enum class State : std::uint8_t { ready, running, waiting };

        const std::string* key_ = nullptr;  // the map's
        std::vector<EntryPtr> queue_;       // short: the window bounds it
        State state_ = State::ready;
        std::optional<Time> blocked_since_;
        Time retry_at_{};
    };

    /// @param window deliveries in memory that blocked lanes may hold half of
    explicit Lanes(std::size_t window) : window_(window) {}
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;

    /// Names a delivery's lane.
    static std::string key_of(const StoredMessage& message);

    /// The lane of that key when it has, or a worker holds, deliveries of the broker.
    bool has_broker_entries(const std::string& key) const;

    /// Puts a delivery at the end of its lane.
    void add(std::string key, EntryPtr entry);

    /// The lane that has been ready for longest; it is running then. Null when none is.
    Lane* start();

    /// Ends the turn: the head is done and leaves; the lane goes on, or is gone.
    EntryPtr settle(Lane& lane);

    /// Ends the turn: the head failed and is tried again at `retry_at`.
    void wait(Lane& lane, Time now, Time retry_at);

    /// Ends the turn: the head is tried again, as soon as anything is.
    void again(Lane& lane);

    /// All entries of a running lane, which stays running: more may be added behind them.
    std::vector<EntryPtr> take(Lane& lane);

    /// Ends the turn of a lane that is empty, after take().
    void close(Lane& lane);

    /// Makes waiting lanes ready whose time has come.
    void wake(Time now);

    /// Makes lanes ready, to be parked, while blocked ones hold more than half of the window.
    void make_room();

    /// When wake() has something to do next.
    std::optional<Time> next_retry() const;

    bool is_any_ready() const noexcept { return !ready_.empty(); }

    /// Lanes there are.
    std::size_t size() const noexcept { return lanes_.size(); }

    /// Every delivery of the broker that is in a lane, the one that is handled included.
    std::vector<EntryPtr> broker_entries() const;

private:
    void make_ready(Lane& lane);
    void stop_waiting(Lane& lane);

    std::size_t window_;
    std::unordered_map<std::string, Lane> lanes_;
    std::deque<Lane*> ready_;
    std::set<std::pair<Time, Lane*>> waiting_;
    std::size_t blocked_ = 0;  // entries of waiting lanes
};

}  // namespace txm::detail
