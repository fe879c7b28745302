#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace txm::relay {

/// Wakes one waiting coroutine. A notification is kept until somebody waits for it.
/// *Thread safety*: on one strand only.
class Signal {
public:
    using Clock = std::chrono::steady_clock;

    explicit Signal(const boost::asio::any_io_executor& executor) : timer_(executor) {}

    void notify() {
        notified_ = true;
        timer_.cancel();
    }

    /// Returns at the next notification, or at `deadline`.
    boost::asio::awaitable<void> wait_until(Clock::time_point deadline) {
        boost::system::error_code ignored;
        if (!notified_) {
            timer_.expires_at(deadline);
            co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
        }
        notified_ = false;
    }

private:
    boost::asio::steady_timer timer_;
    bool notified_ = false;
};

}  // namespace txm::relay
