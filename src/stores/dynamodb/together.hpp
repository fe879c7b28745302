#pragma once

#include "asio/suspension.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace txm::dynamodb::detail {

/// Runs operations beside each other, on the caller's executor but never two at one moment, until all have ended; then throws
/// what the first of them threw. They may use what the caller keeps alive.
inline boost::asio::awaitable<void> together(std::vector<boost::asio::awaitable<void>> operations) {
    struct State {
        std::atomic<std::size_t> left{0};
        std::mutex mutex;
        std::exception_ptr failure;
        txm::detail::Suspension done;
    };
    const auto callers = co_await boost::asio::this_coro::executor;
    const auto executor = boost::asio::make_strand(callers);
    const auto state = std::make_shared<State>();
    state->left = operations.size() + 1;  // and the one that starts them
    const auto start = [&operations, &executor, &state] {
        // The coroutine may go on before this ends.
        const std::shared_ptr<State> mine = state;  // NOLINT(performance-unnecessary-copy-initialization)
        for (auto& operation : operations) {
            boost::asio::co_spawn(executor, std::move(operation), [mine](const std::exception_ptr& error) {
                if (error) {
                    const std::lock_guard lock{mine->mutex};
                    if (!mine->failure)
                        mine->failure = error;
                }
                if (--mine->left == 0)
                    mine->done.resume();
            });
        }
        if (--mine->left == 0)
            mine->done.resume();
    };
    co_await txm::detail::suspend(state->done, start);
    if (state->failure)
        std::rethrow_exception(state->failure);
}

}  // namespace txm::dynamodb::detail
