#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <utility>

namespace txm::detail {

/// A coroutine that waits for another thread. Its executor counts it as outstanding work meanwhile, so that an io_context
/// does not run dry. Cancellation does not reach it: whoever took the work says when it is over.
class Suspension {
public:
    /// Lets the coroutine go on, on its own executor. Called once, from any thread.
    void resume() noexcept {
        const std::unique_ptr<Waiter> waiter = std::move(waiter_);
        waiter->resume();
    }

    template <class Handler>
    void set(Handler handler) {
        waiter_ = std::make_unique<WaiterOf<Handler>>(std::move(handler));
    }

private:
    struct Waiter {
        virtual ~Waiter() = default;
        virtual void resume() = 0;
    };

    template <class Handler>
    struct WaiterOf final : Waiter {
        explicit WaiterOf(Handler h)
            : executor(boost::asio::prefer(boost::asio::get_associated_executor(h),
                                           boost::asio::execution::outstanding_work.tracked)),
              handler(std::move(h)) {}
        void resume() override { boost::asio::post(executor, std::move(handler)); }

        using Executor = boost::asio::associated_executor_t<Handler>;
        decltype(boost::asio::prefer(std::declval<Executor>(),
                                     boost::asio::execution::outstanding_work.tracked)) executor;
        Handler handler;
    };

    std::unique_ptr<Waiter> waiter_;
};

template <class Start>
struct Suspend {
    Suspension* suspension;
    Start start;

    template <class Handler>
    void operator()(Handler handler) {
        suspension->set(std::move(handler));
        start();
    }
};

/// Calls `start`, which must see to it that `suspension.resume()` is called, and waits for that.
/// The coroutine, and with it `start`, may be gone before `start` returns: it must not touch what it captured after
/// it has handed over.
template <class Start>
boost::asio::awaitable<void> suspend(Suspension& suspension, Start start) {
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(Suspend<Start>{&suspension, start},
                                                                                     boost::asio::use_awaitable);
}

}  // namespace txm::detail
