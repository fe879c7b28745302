#pragma once

#include "sqlite/writer.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>

namespace txm::sqlite::detail {

struct Hold::Impl {
    struct Command {
        std::shared_ptr<AwaitedJob> job;
        bool commits = false;
    };

    /// Queues a command; when it is over already, finishes it with the reason.
    void submit(Command command);
    /// Ends it: what is queued and what comes later fails with `why`.
    void end(std::exception_ptr why) noexcept;
    /// The next command; none when it is given up or `deadline` has passed.
    std::optional<Command> next(std::chrono::steady_clock::time_point deadline);

    mutable std::mutex mutex;
    std::condition_variable changed;
    std::deque<Command> commands;
    bool given_up = false;
    bool ended = false;
    std::exception_ptr why_ended;
};

}  // namespace txm::sqlite::detail
