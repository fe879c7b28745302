#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace txm::detail {

/// Wakes the one coroutine that waits for it. A notification that comes before the wait is not lost.
/// *Thread safety*: one strand.
class Signal {
public:
    using Time = boost::asio::steady_timer::time_point;

    explicit Signal(const boost::asio::any_io_executor& executor) : timer_(executor) {}

    void notify() {
        is_set_ = true;
        if (is_waited_for_)
            timer_.cancel();
    }

    boost::asio::awaitable<void> wait() { return wait_until(Time::max()); }

    /// Returns when notified or at `end`; also, without an exception, when cancelled.
    boost::asio::awaitable<void> wait_until(Time end) {
        if (!is_set_) {
            timer_.expires_at(end);
            is_waited_for_ = true;
            boost::system::error_code ignored;
            co_await timer_.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
            is_waited_for_ = false;
        }
        is_set_ = false;
    }

private:
    boost::asio::steady_timer timer_;
    bool is_set_ = false, is_waited_for_ = false;
};

}  // namespace txm::detail
