#include "stores/sqlite/feed_wait.hpp"

#include <algorithm>

namespace txm::sqlite::detail {
namespace {

constexpr std::chrono::microseconds first_recheck{50};
constexpr std::chrono::microseconds last_recheck{50'000};

// A write that is probably our own, or one of a program that touches the wake file when it has committed, is not worth looks
// before that.
constexpr std::chrono::microseconds first_recheck_of_known{10'000};
constexpr std::chrono::milliseconds own_write_lasts{10};
constexpr std::chrono::seconds wake_file_in_use{1};

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
    WakeListener::Event event = co_await listener_->wait(timeout);
    if (event == WakeListener::Event::wal_file) {
        const bool is_known = is_of_known_writer();
        if (!is_recheck)
            recheck_ = is_known ? first_recheck_of_known : first_recheck;
        const Clock::time_point until =
            Clock::now() + std::min<std::chrono::microseconds>(patience, first_recheck_of_known);
        while (is_known && event == WakeListener::Event::wal_file && Clock::now() < until)
            event = co_await listener_->wait(until - Clock::now());
    }
    if (event == WakeListener::Event::wake_file)
        woken_at_ = Clock::now();
}

bool FeedWait::is_of_known_writer() const noexcept {
    const auto now = Clock::now();
    return now - woken_at_ < wake_file_in_use ||
           now - Clock::time_point{Clock::duration{own_write_.load()}} < own_write_lasts;
}

}  // namespace txm::sqlite::detail
