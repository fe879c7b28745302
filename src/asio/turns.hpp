#pragma once

#include "asio/suspension.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>

namespace txm::detail {

/// Lets one coroutine at a time go on, or a few, in the order in which they asked.
/// *Thread safety*: any number of threads. *Lifetime*: must outlive the turns.
class Turns {
public:
    class [[nodiscard]] Turn {
    public:
        explicit Turn(Turns* turns) noexcept : turns_(turns) {}
        Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;
        ~Turn() {
            if (turns_)
                turns_->end();
        }

    private:
        Turns* turns_;
    };

    /// @param places how many may have a turn at the same time
    explicit Turns(std::size_t places = 1) : free_(places) {}

    boost::asio::awaitable<Turn> take() {
        Suspension waiting;
        const auto queue_up = [this, &waiting] {
            {
                const std::lock_guard lock{mutex_};
                if (free_ == 0) {
                    waiting_.push_back(&waiting);
                    return;
                }
                --free_;
            }
            waiting.resume();
        };
        const bool has_it = try_take();
        if (!has_it)
            co_await suspend(waiting, queue_up);
        co_return Turn{this};
    }

private:
    bool try_take() {
        const std::lock_guard lock{mutex_};
        if (free_ == 0)
            return false;
        --free_;
        return true;
    }

    void end() noexcept {
        Suspension* next = nullptr;
        {
            const std::lock_guard lock{mutex_};
            if (waiting_.empty()) {
                ++free_;
                return;
            }
            next = waiting_.front();
            waiting_.pop_front();
        }
        next->resume();
    }

    std::mutex mutex_;
    std::size_t free_;
    std::deque<Suspension*> waiting_;
};

}  // namespace txm::detail
