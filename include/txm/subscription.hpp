#pragma once

#include "txm/message.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace txm {

using boost::asio::awaitable;

/// A message as a broker delivered it.
struct Delivery {
    StoredMessage message;
    int attempt = 1;          ///< how often handling it was tried, as far as the broker or the consumer's store knows
    std::uint64_t token = 0;  ///< names the delivery to the subscription that made it
    int partition = 0;
    std::int64_t position = 0;  ///< its place in the partition; 0 when the broker has none
    bool replay = false;        ///< a dead letter that an operator sent again
    bool redelivered = false;   ///< it may have been delivered before
};

/// Deliveries of some topics to one consumer, at least once, in order per aggregate and topic.
/// *Thread safety*: one coroutine at a time may be in receive(); acknowledge() and extend() may run beside it and beside
/// each other; interrupt() from any thread.
class Subscription {
public:
    virtual ~Subscription() = default;

    /// Waits for deliveries, at most `max`. Empty only after interrupt(), or when the subscription is drained().
    /// @throws Error(broker_unavailable), after which the same call may be made again
    virtual awaitable<std::vector<Delivery>> receive(std::size_t max) = 0;

    /// The delivery is done and must not come again.
    virtual awaitable<void> acknowledge(const Delivery& delivery) = 0;

    /// The delivery is still being handled: gives it more time, where the broker counts it.
    virtual awaitable<void> extend(const Delivery& delivery) = 0;

    /// How often a delivery must be extended at least, lest others get it while it is handled; 0: the broker does not care.
    virtual std::chrono::milliseconds extend_within() const noexcept { return {}; }

    /// Ends at what is there now: receive() becomes empty once everything up to the present end is acknowledged.
    virtual awaitable<void> drain() = 0;

    /// Makes a waiting receive() return, now or at its next call. *Thread safety*: any thread.
    virtual void interrupt() = 0;
};

}  // namespace txm
