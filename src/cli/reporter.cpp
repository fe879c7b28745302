#include "cli/reporter.hpp"

#include "cli/log.hpp"

#include <spdlog/logger.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace txm::cli {

boost::asio::awaitable<void> Reporter::run() {
    const auto step = can_draw_progress() ? std::chrono::milliseconds{200} : std::chrono::milliseconds{30'000};
    boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
    logged_ = state_() + summary_();
    for (;;) {
        timer.expires_after(step);
        co_await timer.async_wait(boost::asio::use_awaitable);
        std::string text = state_() + summary_();
        if (can_draw_progress()) {
            if (progress_.is_due())
                progress_.draw(text);
        } else if (text != logged_) {
            log().info("{}", text);
            logged_ = std::move(text);
        }
    }
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
