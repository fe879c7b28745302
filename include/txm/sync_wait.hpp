#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace txm {

namespace detail {

/// While it lives, stores may run a short operation on this thread instead of handing it to theirs: nobody else's
/// coroutines wait for it.
class BlockingScope {
public:
    BlockingScope() noexcept;
    ~BlockingScope();
    BlockingScope(const BlockingScope&) = delete;
    BlockingScope& operator=(const BlockingScope&) = delete;
    static bool active() noexcept;

private:
    bool previous_;
};

}  // namespace detail

/// Runs `operation` to its end and gives its result; this thread waits. For tests, start-up, small tools and blocking
/// services. Never call it from a coroutine. @throws what the operation throws
template <class T>
T sync_wait(boost::asio::awaitable<T> operation) {
    const detail::BlockingScope blocking;
    boost::asio::io_context context{1};
    std::exception_ptr failure;
    std::optional<std::conditional_t<std::is_void_v<T>, bool, T>> result;
    if constexpr (std::is_void_v<T>) {
        boost::asio::co_spawn(context, std::move(operation), [&](std::exception_ptr e) { failure = e; });
    } else {
        boost::asio::co_spawn(context, std::move(operation), [&](std::exception_ptr e, T value) {
            failure = e;
            if (!e)
                result.emplace(std::move(value));
        });
    }
    context.run();
    if (failure)
        std::rethrow_exception(failure);
    if constexpr (!std::is_void_v<T>)
        return std::move(*result);
}

}  // namespace txm
