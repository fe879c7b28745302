#pragma once

#include "txm/incoming.hpp"
#include "txm/subscription.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace txm {

/// What a consumer keeps in its own store besides its inbox: parked lanes and dead letters are decided there, next
/// to the inbox row, never in the broker. Built for one consumer name.
/// A lane here is one aggregate of one topic.
/// *Thread safety*: any number of coroutines.
class ConsumerStore {
public:
    virtual ~ConsumerStore() = default;

    /// For each delivery: whether its lane has parked deliveries, so that it must be parked behind them.
    virtual awaitable<std::vector<bool>> is_parked(std::span<const Delivery> deliveries) = 0;

    /// Keeps deliveries durably, to be tried again from `next_attempt`. Delivery::attempt is the number of tries so far; 0:
    /// it only follows what is parked. One that is kept already gets the new attempts, time and reason, but one that was
    /// not tried (a redelivery) changes nothing of it. Its place in its lane is by sequence, else by broker position.
    virtual awaitable<void> park(std::span<const Delivery> deliveries, Timestamp next_attempt, std::string reason) = 0;

    /// The first deliveries of parked lanes that are due and not held, in lane order, at most `max`: a lane's later ones only
    /// behind its earlier ones. They stay parked until unpark() or dead_letter(), and are given again until then.
    /// Delivery::attempt is the number of tries so far.
    virtual awaitable<std::vector<Delivery>> take_parked(std::size_t max) = 0;

    /// The delivery took effect, or was decided: it is kept no longer. One that is not kept is no error, and what an
    /// operator sent again since is another delivery, which stays.
    virtual awaitable<void> unpark(const Delivery& delivery) = 0;

    /// Counts, durably, that an attempt begins, because a process that is killed by it cannot count it any more. Gives how many
    /// attempts began before and did not end. When there are any, nothing is counted unless `is_alone`.
    virtual awaitable<int> begin_attempt(const Delivery& delivery, bool is_alone) = 0;

    /// The process survived: no attempt of it is unfinished.
    virtual awaitable<void> end_attempt(const Delivery& delivery) = 0;

    /// Makes a dead letter of it and decides the inbox row (`dead`), in one transaction, and ends its parking. With
    /// `hold` its lane stays parked, for later deliveries too, until an operator replays or skips it.
    /// A second call for the same dead letter changes nothing: the first one's answer may have been lost.
    /// @throws MessageAlreadyProcessedError when the inbox row was decided otherwise meanwhile: it took effect
    virtual awaitable<void> dead_letter(const Incoming& incoming, const Delivery& delivery, std::string why,
                                        bool hold) = 0;

    /// Deliveries stored at or before it may have been forgotten by the inbox.
    virtual awaitable<Timestamp> purged_to() = 0;

    /// Deletes inbox rows of this consumer that were decided longer ago than `retention`, of messages that are older than
    /// it, at most `limit`, and moves purged_to() in the same transaction. Gives the number deleted. Both, so that a
    /// consumer that reads old messages refuses none of them because their neighbours were forgotten already.
    virtual awaitable<std::size_t> purge_inbox(std::chrono::seconds retention, std::size_t limit) = 0;

    /// Takes or keeps the lease on `what` (for this consumer); false while another process has it.
    virtual awaitable<bool> lease(std::string what) = 0;

    /// Gives back all leases.
    virtual awaitable<void> release() = 0;
};

}  // namespace txm
