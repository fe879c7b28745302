#include "cli/reporter.hpp"

#include "cli/log.hpp"

#include <spdlog/logger.h>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace txm::cli {

boost::asio::awaitable<void> Reporter::run() {
    const auto step = can_draw_progress() ? std::chrono::milliseconds{200} : std::chrono::milliseconds{30'000};
    boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
    timer_ = &timer;
    logged_ = state_() + summary_();
    for (;;) {
        timer.expires_after(step);
        boost::system::error_code ignored;
        co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
        if (is_over_)
            break;
        std::string text = state_() + summary_();
        if (can_draw_progress()) {
            if (progress_.is_due())
                progress_.draw(text);
        } else if (text != logged_) {
            log().info("{}", text);
            logged_ = std::move(text);
        }
    }
    timer_ = nullptr;
}

void Reporter::end() {
    is_over_ = true;
    if (timer_)
        timer_->cancel();
}

void Reporter::event(const std::string& text) {
    progress_.clear();
    log().warn("{}", text);
}

void Reporter::finish() {
    progress_.clear();
    log().info("{}", summary_());
}

}  // namespace txm::cli
