#pragma once

#include "asio/suspension.hpp"

#include <boost/asio/awaitable.hpp>

#include <deque>
#include <mutex>
#include <utility>

namespace txm::dynamodb::detail {

/// Lets one coroutine at a time go on, in the order in which they asked.
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

    boost::asio::awaitable<Turn> take() {
        txm::detail::Suspension waiting;
        const auto queue_up = [this, &waiting] {
            {
                const std::lock_guard lock{mutex_};
                if (std::exchange(is_taken_, true)) {
                    waiting_.push_back(&waiting);
                    return;
                }
            }
            waiting.resume();
        };
        const bool has_it = try_take();
        if (!has_it)
            co_await txm::detail::suspend(waiting, queue_up);
        co_return Turn{this};
    }

private:
    bool try_take() {
        const std::lock_guard lock{mutex_};
        return !std::exchange(is_taken_, true);
    }

    void end() noexcept {
        txm::detail::Suspension* next = nullptr;
        {
            const std::lock_guard lock{mutex_};
            if (waiting_.empty()) {
                is_taken_ = false;
                return;
            }
            next = waiting_.front();
            waiting_.pop_front();
        }
        next->resume();
    }

    std::mutex mutex_;
    bool is_taken_ = false;
    std::deque<txm::detail::Suspension*> waiting_;
};

}  // namespace txm::dynamodb::detail
