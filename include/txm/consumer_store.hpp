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

    /// Keeps deliveries durably, to be tried again from `next_attempt`; one that is kept already gets the new attempts,
    /// time and reason. Delivery::attempt is the number of tries so far.
    virtual awaitable<void> park(std::span<const Delivery> deliveries, Timestamp next_attempt, std::string reason) = 0;

    /// The first deliveries of parked lanes that are due and not held, in lane order, at most `max`; they stay parked until
    /// unpark() or dead_letter().
    virtual awaitable<std::vector<Delivery>> take_parked(std::size_t max) = 0;

    /// The delivery took effect, or was decided: it is kept no longer.
    virtual awaitable<void> unpark(const Delivery& delivery) = 0;

    /// Makes a dead letter of it and decides the inbox row (`dead`), in one transaction, and ends its parking. With
    /// `hold` its lane stays parked, for later deliveries too, until an operator replays or skips it.
    /// @throws MessageAlreadyProcessedError when the inbox row was decided otherwise meanwhile: it took effect
    virtual awaitable<void> dead_letter(const Incoming& incoming, const Delivery& delivery, std::string why, bool hold) = 0;

    /// Deliveries stored at or before it may have been forgotten by the inbox.
    virtual awaitable<Timestamp> purged_to() = 0;

    /// Deletes inbox rows of this consumer whose message is older than `retention`, at most `limit`, and moves purged_to()
    /// in the same transaction. Gives the number deleted.
    virtual awaitable<std::size_t> purge_inbox(std::chrono::seconds retention, std::size_t limit) = 0;

    /// Takes or keeps the lease on `what` (for this consumer); false while another process has it.
    virtual awaitable<bool> lease(std::string what) = 0;

    /// Gives back all leases.
    virtual awaitable<void> release() = 0;
};

}  // namespace txm
