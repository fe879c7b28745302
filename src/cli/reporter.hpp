#pragma once

#include "cli/progress.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <string>

namespace txm::cli {

/// Says how a long-running command gets on: a line that is redrawn on a terminal, else a log line every 30 s in which
/// something happened. Events of the work are logged between.
/// *Thread safety*: one executor.
class Reporter {
public:
    /// @param summary the figures, as one line
    explicit Reporter(std::function<std::string()> summary) : summary_(std::move(summary)) {}

    /// Reports until it is destroyed with its executor.
    boost::asio::awaitable<void> run();

    void event(const std::string& text);

    /// The last line.
    void finish();

private:
    std::function<std::string()> summary_;
    std::string logged_;
    Progress progress_;
};

}  // namespace txm::cli
