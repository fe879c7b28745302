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
    void interrupt() noexcept {
        interrupted_ = true;
        listener_->notify();
    }
    void notify() noexcept { listener_->notify(); }

    boost::asio::awaitable<void> for_event(std::chrono::milliseconds timeout);

    /// Waits for what may be a message, at most `patience`. A writer that does not know txm is only seen to write to the WAL,
    /// which is before its commit can be read: then the waits are short, and grow, until found() or until it is clear
    /// that nothing comes.
    boost::asio::awaitable<void> for_work(std::chrono::milliseconds patience);
    void found() noexcept { recheck_ = {}; }

private:
    std::shared_ptr<WakeListener> listener_;
    std::atomic<bool> interrupted_{false};
    std::chrono::microseconds recheck_{};
};

}  // namespace txm::sqlite::detail
