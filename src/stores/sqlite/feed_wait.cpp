#include "stores/sqlite/feed_wait.hpp"

#include <algorithm>

namespace txm::sqlite::detail {
namespace {

constexpr std::chrono::microseconds first_recheck{50};
constexpr std::chrono::microseconds last_recheck{50'000};

}  // namespace

boost::asio::awaitable<void> FeedWait::for_event(std::chrono::milliseconds timeout) {
    co_await listener_->wait(timeout);
}

boost::asio::awaitable<void> FeedWait::for_work(std::chrono::milliseconds patience) {
    const bool is_recheck = recheck_ > std::chrono::microseconds{0};
    std::chrono::microseconds timeout{patience};
    if (is_recheck) {
        timeout = std::min(timeout, recheck_);
        recheck_ = recheck_ < last_recheck ? recheck_ * 2 : std::chrono::microseconds{0};
    }
    const WakeListener::Event event = co_await listener_->wait(timeout);
    if (event == WakeListener::Event::wal_file && !is_recheck)
        recheck_ = first_recheck;
}

}  // namespace txm::sqlite::detail
