#pragma once

#include "sqlite/wake.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

namespace txm::sqlite::detail {

/// How a feed waits for messages.
/// *Thread safety*: one coroutine waits; interrupt() and notify() from any thread.
class FeedWait {
public:
    explicit FeedWait(std::shared_ptr<WakeListener> listener) : listener_(std::move(listener)) {}

    /// Whether interrupt() was called since the last time this was asked.
    bool was_interrupted() noexcept { return interrupted_.exchange(false); }
    bool is_interrupted() const noexcept { return interrupted_; }
    void interrupt() noexcept {
        interrupted_ = true;
        listener_->notify();
    }
    void notify() noexcept { listener_->notify(); }
    /// This process is about to write, which will look like a foreign write to the WAL. From any thread.
    void own_write() noexcept { own_write_ = Clock::now().time_since_epoch().count(); }

    boost::asio::awaitable<void> for_event(std::chrono::milliseconds timeout);

    /// Waits for what may be a message, at most `patience`. A writer that does not know txm is only seen to write to the WAL,
    /// which is before its commit can be read: then the waits are short, and grow, until found() or until it is clear
    /// that nothing comes. Of a writer that is known to touch the wake file, that is waited for, some milliseconds at most.
    boost::asio::awaitable<void> for_work(std::chrono::milliseconds patience);
    void found() noexcept { recheck_ = {}; }

private:
    using Clock = std::chrono::steady_clock;

    bool is_of_known_writer() const noexcept;

    std::shared_ptr<WakeListener> listener_;
    std::atomic<bool> interrupted_{false};
    std::atomic<Clock::rep> own_write_{0};
    Clock::time_point woken_at_{};
    std::chrono::microseconds recheck_{};
};

}  // namespace txm::sqlite::detail
