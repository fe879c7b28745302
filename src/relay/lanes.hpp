#pragma once

#include "core/backoff.hpp"
#include "relay/destination.hpp"
#include "txm/feed.hpp"
#include "txm/publisher.hpp"
#include "txm/relay.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace txm::relay {

using detail::Backoff;

/// A lane that must be recorded as blocked (OutboxFeed::park).
struct ParkRequest {
    AggregateId aggregate_id;
    Sequence from = 0;
    int attempts = 0;
    Timestamp next_attempt{};
    std::string reason{};
};

/// What follows from an event, for the caller to carry out.
struct Decisions {
    std::vector<Outcome> outcomes{};
    std::vector<ParkRequest> parks{};
    std::vector<std::string> events{};  ///< lines for an operator
    std::uint64_t refused = 0;
    std::uint64_t outages = 0;
};

/// Messages on their way to one destination.
struct Batch {
    struct Slot {
        Lane* lane = nullptr;
        int lost = 0;
        std::uint64_t lost_at = 0;
    };

    std::vector<StoredMessage> messages{};
    std::vector<Slot> slots{};  ///< one a message
    Destination* destination = nullptr;
    std::uint64_t sent_at = 0;  ///< tick
    std::uint64_t resent = 0;   ///< how many of them were lost before
    bool is_alone = false;
    bool is_suspect = false;  ///< to be marked before, and settled before anything else is sent

    bool empty() const noexcept { return messages.empty(); }
};

/// What the relay knows of the messages in memory: which may be sent, and what becomes of those that were. No I/O and no
/// clock of its own, so that every rule can be tested.
///
/// Exact aggregates are lanes. A lane has one message in flight (or one run of messages in one batch, when the publisher
/// is gapless), so that a message is sent only when all before it are acknowledged or durably given up.
/// A destination that answers nothing is down: then one message at a time probes it, and no message is blamed. A message
/// is blamed for an unanswered send when others to the same destination were acknowledged after it.
///
/// *Thread safety*: one thread at a time.
class Lanes {
public:
    using DestinationOf = std::function<std::string(const StoredMessage&)>;

    Lanes(const RelayOptions& options, bool gapless, DestinationOf destination_of);
    ~Lanes();
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;

    /// Takes a message from the feed. @param suspect see Batch::is_suspect
    void push(StoredMessage message, bool suspect, TimePoint now, Decisions& decisions);

    /// The next batch to send; empty when nothing may be sent now. Hand it back with finish().
    Batch take(TimePoint now, Decisions& decisions);

    /// What became of a batch. @param failure why publishing threw; empty when it did not
    void finish(Batch batch, const PublishBatch& reports, const std::string& failure, TimePoint now,
                Decisions& decisions);

    /// An outcome that is not `dispatched` was recorded.
    void settled(const Outcome& outcome, Decisions& decisions);

    /// A ParkRequest was recorded.
    void parked(const AggregateId& aggregate_id, Decisions& decisions);

    /// Wakes lanes whose backoff is over; gives up waiting in memory for destinations that are down for long.
    void tick(TimePoint now, Decisions& decisions);

    /// When tick(), or take() when `may_take`, will have something new to do, if nothing else happens before.
    TimePoint next_deadline(bool may_take) const;

    /// Forgets all of it. Nothing may be in flight.
    void clear();

    /// Messages in memory, and lanes that wait for the store.
    std::size_t size() const noexcept { return size_; }
    std::size_t bytes() const noexcept { return bytes_; }
    std::size_t lane_count() const noexcept { return lanes_.size(); }

private:
    using LaneMap = std::unordered_map<std::string_view, std::unique_ptr<Lane>>;

    Lane& lane_of(const AggregateId& aggregate_id);
    Lane* find(const AggregateId& aggregate_id);
    void erase(Lane& lane);

    // What a lane does next.
    void advance(Lane& lane, Decisions& decisions);
    void make_ready(Lane& lane, Decisions& decisions);
    void back_off(Lane& lane, std::string reason, TimePoint now, Decisions& decisions);
    void wake(Lane& lane);
    void park(Lane& lane, Backoff::Duration delay, std::string reason, Decisions& decisions);
    void give_up(Lane& lane, std::string reason, Decisions& decisions);
    void leave(Lane& lane);
    void end_wait(Lane& lane, Decisions& decisions);

    // Its messages.
    void append(Lane& lane, Item item);
    void put_back(Lane& lane, StoredMessage message, const Batch::Slot& slot, int lost, std::uint64_t lost_at);
    StoredMessage take_first(Lane& lane);

    // Sending.
    bool can_send(const Destination& destination, TimePoint now) const noexcept;
    void take_suspects(Batch& batch);
    std::size_t suspects_at_once(int attempts) const noexcept;
    void fill(Batch& batch, Destination& destination, TimePoint now, Decisions& decisions);
    bool is_blamed(Lane& lane, const Destination& destination, TimePoint now, Decisions& decisions);
    void take_run(Lane& lane, std::size_t limit, Batch& batch);

    // What became of it.
    void judge(Destination& destination, const Batch& batch, const PublishBatch& reports, const std::string& failure,
               TimePoint now, Decisions& decisions);
    void finish_run(Batch& batch, std::size_t first, std::size_t last, const PublishBatch& reports, TimePoint now,
                    Decisions& decisions);
    void finish_refused(Lane& lane, bool was_marked, std::string reason, TimePoint now, Decisions& decisions);

    Destination& destination_of(const StoredMessage& message);
    void release_suspects(Destination& destination);
    bool others_flow(const Destination& destination) const noexcept;
    bool may_hide_others(Destination& destination, TimePoint now) const;
    void park_all_but_one(Destination& destination, bool make_room, TimePoint now, Decisions& decisions);
    bool too_much_is_blocked() const noexcept;

    RelayOptions options_;
    bool gapless_;
    DestinationOf destination_name_;
    Backoff backoff_, outage_backoff_;
    LaneMap lanes_;
    std::map<std::string, std::unique_ptr<Destination>, std::less<>> destinations_;
    std::string last_served_;
    LaneList suspects_;
    std::multimap<TimePoint, Lane*> timers_;
    std::list<Item> spare_;
    std::size_t size_ = 0, bytes_ = 0;
    std::size_t blocked_messages_ = 0, blocked_bytes_ = 0;
    std::size_t batches_in_flight_ = 0;
    bool suspect_in_flight_ = false;
    std::uint64_t tick_ = 0;
};

}  // namespace txm::relay
