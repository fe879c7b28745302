#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

namespace txm::dynamodb::detail {

/// How a feed waits: for a time, or until something is known to be there.
/// *Thread safety*: one coroutine waits; interrupt() and notify() from any thread.
class FeedWait {
public:
    /// Whether interrupt() was called since the last time this was asked.
    bool was_interrupted() noexcept { return interrupted_.exchange(false); }

    void interrupt() {
        interrupted_ = true;
        notify();
    }

    void notify() {
        const std::lock_guard lock{mutex_};
        is_set_ = true;
        // As long as the waiter is known here its executor lives.
        if (waiter_)
            boost::asio::post(waiter_->get_executor(), [waiter = waiter_] { waiter->cancel(); });
    }

    boost::asio::awaitable<void> wait_for(std::chrono::steady_clock::duration timeout) {
        const auto executor = co_await boost::asio::this_coro::executor;
        const auto timer = std::make_shared<boost::asio::steady_timer>(executor, timeout);
        const bool is_set = begin(timer);
        if (!is_set) {
            boost::system::error_code ignored;
            co_await timer->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
        }
        end();
    }

private:
    bool begin(const std::shared_ptr<boost::asio::steady_timer>& timer) {
        const std::lock_guard lock{mutex_};
        if (std::exchange(is_set_, false))
            return true;
        waiter_ = timer;
        return false;
    }

    void end() {
        const std::lock_guard lock{mutex_};
        waiter_.reset();
        is_set_ = false;
    }

    std::atomic<bool> interrupted_{false};
    std::mutex mutex_;
    bool is_set_ = false;
    std::shared_ptr<boost::asio::steady_timer> waiter_;
};

}  // namespace txm::dynamodb::detail
