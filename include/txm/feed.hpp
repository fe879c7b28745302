#pragma once

#include "txm/message.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace txm {

using boost::asio::awaitable;

/// How the relay is done with a message.
enum class Settlement : std::uint8_t {
    dispatched,  ///< the broker acknowledged it
    dead,        ///< a dead letter; its lane goes on
    held,  ///< a dead letter; its lane waits for an operator's replay or skip, and is parked and given back until then
};

struct Outcome {
    Uuid message_id;
    AggregateId aggregate_id;
    Sequence sequence = 0;
    Settlement settlement = Settlement::dispatched;
    int attempts = 0;
    std::string reason{};  ///< why it is a dead letter
};

/// Proof of a lease: whatever is written under it names it, so that a frozen owner who wakes up can write nothing.
struct Fence {
    std::int64_t value = 0;
    bool clean_start = true;  ///< false: the previous owner did not release, so its last sends may be in flight
};

/// What a relay reads: the committed messages of one outbox, in commit order per aggregate, resumable at any point.
///
/// A message that was read is *checked out* until it is settled, its lane is blocked, or the lease is released; it is not
/// given again before. What feed and relay rely on in each other:
/// - *One decision at a time.* The relay settles the messages of a lane in the order in which it got them. It calls park(), or
///   settle() with `held`, for a lane only when nothing of it is being sent.
/// - *Blocking gives back.* When park(), or settle() with `held`, returns, all that read() returned of the lane before (of
///   park(): from `from` on, and what was parked) is the feed's again, also what it returned while the call ran. The
///   relay forgets it, and read() gives it again, in order, once the lane is due. A read() that was under way when the
///   lane became blocked gives nothing of it.
/// - *Failure changes nothing.* When park() or settle() throws, what was checked out still is, and the call may be made again.
/// - *What read() returned is the relay's.* When read() throws, it has checked out nothing.
///
/// *Thread safety*: one coroutine at a time may be in read(); settle(), park(), unpark() and drained() may run beside it
/// and beside each other; interrupt() from any thread.
class OutboxFeed {
public:
    virtual ~OutboxFeed() = default;

    /// Waits for the lease of this outbox and takes it. *Cancellation*: interrupt() makes it throw operation_aborted.
    virtual awaitable<Fence> acquire() = 0;

    /// Gives the lease back; what is checked out and not settled can be read by the next owner.
    virtual awaitable<void> release() = 0;

    /// The next messages, at most `max` and (beyond the first) `max_bytes` of payload: pending ones in commit order, and the
    /// first messages of parked lanes whose next attempt is due (state parked). Messages of a parked lane are set
    /// to parked instead of being given. All of them are flushed: no power cut can take them back.
    /// A row that no message can be made of comes in its turn too, with the state `dead` and the reason as its payload: it
    /// is never sent, but settled as a dead letter, so that what follows it waits or goes on as after any other.
    /// Waits when there is none; empty only after interrupt().
    /// @throws FenceLostError; Error(store_unavailable), after which the same call may be made again
    virtual awaitable<std::vector<StoredMessage>> read(std::size_t max, std::size_t max_bytes) = 0;

    /// Records outcomes, all in one transaction, under the fence. Renews the lease when that is due, also with no outcomes:
    /// an owner that is not in read() for more than a second, because a broker is slow, calls it to keep the lease.
    /// @throws FenceLostError: none of them was recorded
    virtual awaitable<void> settle(std::span<const Outcome> outcomes) = 0;

    /// Blocks a lane durably: its messages from `from` on are parked, given back, and tried again from `next_attempt`.
    /// `attempts` is stored with the message `from`. What was acknowledged of the lane and is not settled yet may come again.
    /// @throws FenceLostError
    virtual awaitable<void> park(AggregateId aggregate_id, Sequence from, int attempts, Timestamp next_attempt,
                                 std::string reason) = 0;

    /// Frees a lane: its parked messages will be read, in order, before any newer one of it. @throws FenceLostError
    virtual awaitable<void> unpark(AggregateId aggregate_id) = 0;

    /// Stores the number of attempts of messages that are about to be sent, so that one that kills the relay again
    /// and again is found out. @throws FenceLostError
    virtual awaitable<void> mark_attempts(std::span<const Outcome> starting) = 0;

    /// False when the lease could not be renewed for so long that another owner may soon be there: send nothing until it is
    /// true again (settle() renews). It only spares duplicates; order does not depend on it. *Thread safety*: any thread.
    virtual bool may_send() const noexcept { return true; }

    /// True when nothing is pending, checked out, or parked with a next attempt.
    virtual awaitable<bool> drained() = 0;

    /// Makes a waiting read() or acquire() return, now or at its next call. *Thread safety*: any thread.
    virtual void interrupt() = 0;
};

}  // namespace txm
