#include "cli/signals.hpp"

#include "cli/child.hpp"
#include "cli/log.hpp"

#include <spdlog/logger.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <mutex>
#include <thread>
#include <utility>

#include <pthread.h>
#include <unistd.h>

namespace txm::cli {

namespace {

// GNU timeout sends its signal to the program and then to the group that it is in.
constexpr std::chrono::milliseconds same_signal{300};

std::atomic<bool> has_come{false};
std::chrono::steady_clock::time_point came_at;  // of the thread in run()
std::mutex mutex;
std::function<void()> stop_function;

sigset_t handled_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

}  // namespace

void Signals::start() {
    std::signal(SIGPIPE, SIG_IGN);
    const sigset_t set = handled_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::thread{run}.detach();
}

void Signals::run() {
    const sigset_t set = handled_signals();
    for (;;) {
        int signal = 0;
        if (sigwait(&set, &signal) != 0)
            continue;
        const std::lock_guard lock{mutex};
        const auto now = std::chrono::steady_clock::now();
        if (has_come && now - came_at < same_signal)
            continue;
        came_at = now;
        if (has_come.exchange(true)) {
            Child::kill_all();
            ::_exit(130);
        }
        if (!stop_function) {
            std::signal(signal, SIG_DFL);
            pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
            ::raise(signal);
        }
        log().info("{}: stopping; a second one ends at once", signal == SIGINT ? "SIGINT" : "SIGTERM");
        stop_function();
    }
}

void Signals::on_stop(std::function<void()> stop) {
    const std::lock_guard lock{mutex};
    stop_function = std::move(stop);
    if (stop_function && has_come)
        stop_function();
}

bool Signals::stopping() noexcept {
    return has_come;
}

StopOnSignal::StopOnSignal(std::function<void()> stop) {
    Signals::on_stop(std::move(stop));
}

StopOnSignal::~StopOnSignal() {
    Signals::on_stop({});
}

}  // namespace txm::cli
