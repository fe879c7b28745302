#pragma once

#include "cli/progress.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <string>

namespace txm::cli {

/// Says how a long-running command gets on: a line that is redrawn on a terminal, else a log line every 30 s in which
/// something happened. Events of the work are logged between.
/// *Thread safety*: one executor.
class Reporter {
public:
    /// @param summary the figures, as one line  @param state what to say before them while it runs
    explicit Reporter(
        std::function<std::string()> summary, std::function<std::string()> state = [] { return ""; })
        : summary_(std::move(summary)), state_(std::move(state)) {}

    /// Reports until end().
    boost::asio::awaitable<void> run();
    void end();

    void event(const std::string& text);

    /// The last line.
    void finish();

private:
    std::function<std::string()> summary_, state_;
    std::string logged_;
    Progress progress_;
    boost::asio::steady_timer* timer_ = nullptr;  // of run()
    bool is_over_ = false;
};

}  // namespace txm::cli
