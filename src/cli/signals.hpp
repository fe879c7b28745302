#pragma once

#include <functional>

namespace txm::cli {

/// SIGINT and SIGTERM, taken by a thread of their own, so that they are answered whatever the others wait for: the first
/// one asks the work to stop, the second ends the process with exit code 130.
/// SIGPIPE is ignored: a closed pipe is an error of the write.
class Signals {
public:
    /// Blocks the signals in this thread and those that it starts: call it before there are any.
    static void start();

    /// What the first signal does, from the signals' thread; at once when it has come already. While nothing is
    /// registered, the first signal ends the process as if it were not handled.
    static void on_stop(std::function<void()> stop);

    /// Whether the first signal has come.
    static bool stopping() noexcept;

private:
    static void run();
};

/// Registers a stop function for as long as it lives.
class StopOnSignal {
public:
    explicit StopOnSignal(std::function<void()> stop);
    StopOnSignal(const StopOnSignal&) = delete;
    StopOnSignal& operator=(const StopOnSignal&) = delete;
    ~StopOnSignal();
};

}  // namespace txm::cli
