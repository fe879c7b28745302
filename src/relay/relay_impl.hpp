#pragma once

#include "core/signal.hpp"
#include "relay/lanes.hpp"
#include "txm/relay.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

namespace txm {

/// One coroutine decides (carry_messages); reads, batches, settlements and parks run beside it, each spawned when there is
/// something to do and room for it, so that the slowest of them sets the pace and not their sum.
/// Everything runs on one strand.
class Relay::Impl : public std::enable_shared_from_this<Relay::Impl> {
public:
    Impl(OutboxFeed& feed, Publisher& publisher, RelayOptions options);

    awaitable<void> run();
    void stop() noexcept;
    RelayStatistics statistics() const;
    void on_event(std::function<void(const std::string&)> listener);

private:
    using TimePoint = relay::TimePoint;

    struct Counters {
        std::atomic<std::uint64_t> read{0}, dispatched{0}, refused{0}, resent{0}, parked{0}, dead{0}, lease_losses{0},
            outages{0};
        std::atomic<std::size_t> in_flight{0};
        std::atomic<bool> is_active{false};
    };

    awaitable<void> work();
    awaitable<bool> acquire();
    awaitable<void> release();
    awaitable<void> carry_messages();
    awaitable<void> look_whether_drained(TimePoint now);

    awaitable<void> read_once(std::size_t max, std::size_t max_bytes);
    awaitable<bool> mark_suspects(std::vector<StoredMessage>& messages, std::vector<bool>& is_suspect);
    awaitable<void> publish(std::unique_ptr<relay::Batch> batch);
    awaitable<bool> mark(std::vector<Outcome> starting);
    awaitable<void> make_mistakes(const relay::Batch& batch);
    awaitable<void> settle_once();
    awaitable<void> park_once(relay::ParkRequest request);
    awaitable<void> pause(int failures);

    void start_work(TimePoint now);
    void start_read(TimePoint now);
    void start_batches(TimePoint now);
    void spawn(awaitable<void> operation, std::size_t& running);
    bool must_end() const noexcept;
    bool is_idle() const noexcept;
    bool is_done_but_reading() const noexcept;
    bool has_nothing_to_do() const noexcept;
    TimePoint renew_at() const;
    TimePoint settle_at() const;
    void note_given_back(const AggregateId& aggregate_id);
    bool can_retry(const std::exception_ptr& error, const char* what, int failures);
    void end_with(const std::exception_ptr& error);
    void abandon();
    void report(const std::string& line);
    void report_decisions();
    void wake();

    /// A relay may live longer than the executor that it ran on: after a run it keeps nothing of it.
    void part() noexcept;
    struct Parting {
        explicit Parting(Impl& impl) : relay(impl) {}
        Parting(const Parting&) = delete;
        Parting& operator=(const Parting&) = delete;
        ~Parting() { relay.part(); }
        Impl& relay;
    };

    OutboxFeed& feed_;
    Publisher& publisher_;
    RelayOptions options_;
    std::size_t max_batches_;
    relay::Lanes lanes_;
    relay::Decisions decisions_;
    detail::Backoff outage_{std::chrono::milliseconds{50}, std::chrono::milliseconds{5000}};
    std::function<void(const std::string&)> listener_;
    Counters counters_;

    std::atomic<int> stops_{0};
    mutable std::mutex mutex_;  // guards strand_, which stop() needs
    boost::asio::any_io_executor strand_;
    std::optional<detail::Signal> signal_;
    std::list<boost::asio::cancellation_signal> cancellations_;

    std::size_t reading_ = 0, publishing_ = 0, settling_ = 0, parking_ = 0;
    std::size_t suspects_left_ = 0;
    Timestamp acquired_at_{};
    bool settle_first_ = false;  // a suspect's outcome must be recorded before anything else is sent
    bool lease_lost_ = false;
    bool is_drained_ = false;
    bool is_abandoned_ = false;
    std::exception_ptr lasting_trouble_;
    bool is_marking_ = false;
    std::unordered_set<std::string> given_back_;  // lanes that left while what was read is being marked
    int read_failures_ = 0, drain_failures_ = 0;
    TimePoint read_again_at_{}, stop_deadline_{}, look_again_at_{}, settled_at_{};
};

}  // namespace txm
