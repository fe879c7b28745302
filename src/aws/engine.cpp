#include "aws/engine.hpp"

#include <algorithm>
#include <utility>

namespace txm::aws::detail {

Engine::Engine(ClientOptions options, Service service, std::string region)
    : options_(std::move(options)),
      service_(std::move(service)),
      region_(std::move(region)),
      endpoint_(endpoint_of(options_, service_, region_)),
      multi_(options_.max_connections),
      signer_(region_, service_.name),
      last_answers_(std::max<std::size_t>(256, 2 * options_.max_connections)),
      credentials_(options_, region_, [this] { look_again(); }) {
    if (options_.max_connections == 0)
        throw Error(Errc::invalid_configuration, "max_connections of " + service_.name + " is 0: allow at least one");
}

Engine::~Engine() {
    stop();
}

void Engine::submit(Call& call) {
    std::unique_lock lock(mutex_);
    if (is_stopping_) {
        lock.unlock();
        return fail(call, closed(call));
    }
    submitted_.push_back(call);
    if (is_driven_) {
        if (std::exchange(is_waiting_, false))
            multi_.wake();
        return;
    }
    if (!thread_.joinable())
        thread_ = std::thread([this] { serve(); });
    changed_.notify_one();
}

bool Engine::run_here(Call& call) {
    // What may take longer than other calls waits for something, and other coroutines of this thread must not wait for that.
    if (call.options.timeout.value_or(options_.request_timeout) > options_.request_timeout)
        return false;
    {
        const std::scoped_lock lock(mutex_);
        if (is_driven_ || is_stopping_ || !submitted_.empty() || is_busy())
            return false;
        is_driven_ = true;
        submitted_.push_back(call);
    }
    drive(&call);
    return true;
}

void Engine::stop() noexcept {
    std::unique_lock lock(mutex_);
    is_stopping_ = true;
    if (std::exchange(is_waiting_, false))
        multi_.wake();
    changed_.notify_all();
    changed_.wait(lock, [this] { return !is_driven_ && submitted_.empty() && !is_busy(); });
    if (thread_.joinable()) {
        lock.unlock();
        thread_.join();
    }
}

void Engine::look_again() {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(is_waiting_, false))
        multi_.wake();
}

void Engine::serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return !is_driven_ && (is_stopping_ || !submitted_.empty() || is_busy()); });
        if (submitted_.empty() && !is_busy())
            return;
        is_driven_ = true;
        lock.unlock();
        drive(nullptr);
        lock.lock();
    }
}

// Only whoever drives changes what this looks at; nobody else asks while it is driven.
bool Engine::is_busy() const noexcept {
    return active_ > 0 || !waiting_.empty() || !paused_.empty() || !without_keys_.empty();
}

bool Engine::leave(const Call* own) {
    const bool is_done = own && own->is_done;
    if (!is_done && (is_busy() || !submitted_.empty()))
        return false;
    is_driven_ = false;
    const bool is_left = is_busy() || !submitted_.empty();
    if (is_left && !thread_.joinable())
        thread_ = std::thread([this] { serve(); });
    if (is_left || is_stopping_)
        changed_.notify_all();
    return true;
}

void Engine::drive(const Call* own) {
    for (;;) {
        bool is_stopping = false;
        {
            const std::scoped_lock lock(mutex_);
            is_waiting_ = false;
            if (leave(own))
                return;
            waiting_.append(std::exchange(submitted_, {}));
            is_stopping = is_stopping_;
            is_waiting_ = !is_stopping;
        }
        if (is_stopping) {
            fail_all();
            continue;
        }
        look_for_keys();
        resume_paused();
        start_waiting();
        if (!is_busy())
            continue;
        std::optional<Clock::time_point> deadline;
        if (!paused_.empty())
            deadline = paused_.begin()->first;
        for (const Multi::Finished& finished : multi_.turn(deadline))
            finish(*finished.transfer, finished.code);
    }
}

void Engine::fail_all() noexcept {
    waiting_.append(std::exchange(without_keys_, {}));
    while (Call* const call = waiting_.pop_front())
        fail(*call, closed(*call));
    for (const auto& [when, call] : std::exchange(paused_, {}))
        fail(*call, closed(*call));
    for (const auto& transfer : transfers_) {
        Call* const call = transfer->call();
        if (!call)
            continue;
        multi_.remove(*transfer);
        release(*transfer);
        call->unanswered += transfer->conclude(CURLE_ABORTED_BY_CALLBACK).was_sent ? 1 : 0;
        fail(*call, closed(*call));
    }
}

}  // namespace txm::aws::detail
