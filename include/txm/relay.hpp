#pragma once

#include "txm/feed.hpp"
#include "txm/publisher.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace txm {

/// What becomes of a lane whose message is a dead letter.
enum class DeadLetterPolicy : std::uint8_t {
    hold,  ///< it waits for an operator (`txm messages replay|skip`)
    skip,  ///< it goes on without the message
};

class RelayOptions {
public:
    RelayOptions() = default;

    DeadLetterPolicy policy = DeadLetterPolicy::hold;
    int max_attempts = 10;                                   ///< refusals until a message is a dead letter
    std::size_t max_in_flight = 4096;                        ///< messages in memory
    std::size_t max_bytes_in_flight = std::size_t{4} << 20;  ///< bytes of payload in memory, beyond one message
    std::size_t max_payload = std::size_t{1} << 20;          ///< a larger message, of any writer, is a dead letter
    std::size_t batch = 512;                                 ///< messages of one Publisher::publish
    std::chrono::milliseconds backoff{100};  ///< after the first failure; doubles each time, with jitter
    std::chrono::milliseconds max_backoff{60'000};
    std::chrono::milliseconds park_after{1000};        ///< a lane blocked that long leaves memory for the store
    std::chrono::milliseconds drain_deadline{10'000};  ///< stop() waits that long for what is in flight
    bool drain = false;                                ///< run() returns once the feed is drained
};

/// Counters of a relay, for metrics and progress. Read from any thread.
struct RelayStatistics {
    std::uint64_t read = 0;
    std::uint64_t dispatched = 0;
    std::uint64_t refused = 0;
    std::uint64_t resent = 0;  ///< sends after an unknown outcome
    std::uint64_t parked = 0;
    std::uint64_t dead = 0;
    std::uint64_t lease_losses = 0;
    std::uint64_t outages = 0;  ///< times a destination became unreachable
    std::size_t in_flight = 0;
    bool is_active = false;  ///< it has the lease
};

/// Carries messages from a feed to a publisher: every one, at least once, first acknowledgements in commit order per
/// aggregate. A message that is refused backs off and blocks its own lane only.
///
/// *Lifetime*: feed and publisher must outlive it. *Thread safety*: run() on one executor; stop() and statistics() from any
/// thread.
class Relay {
public:
    Relay(OutboxFeed& feed, Publisher& publisher, RelayOptions options = {});
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    /// Takes the feed's lease, moves messages until stop() (or until drained, with RelayOptions::drain), settles what
    /// is in flight up to the drain deadline, gives the lease back. A lost lease is taken again, an unreachable broker or
    /// store is tried again with backoff; neither ends it.
    /// @throws what cannot be mended by waiting: Error(schema_missing), Error(schema_too_new) …
    awaitable<void> run();

    /// Ends run(): no new reads, what is in flight is finished. A second call ends it without waiting.
    void stop() noexcept;

    RelayStatistics statistics() const;

    /// Called with one line for each thing that an operator should see (lane parked, dead letter, outage, lease lost).
    /// Set it before run(); called on its executor.
    void on_event(std::function<void(const std::string&)> listener);

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace txm
