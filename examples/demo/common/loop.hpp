#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <exception>
#include <functional>
#include <list>
#include <string>

namespace demo {

/// Runs a service's coroutines on one thread, until SIGTERM or SIGINT, or until one of them fails: a service that cannot
/// write has nothing better to do than to end, say why, and be started again.
class Loop {
public:
    explicit Loop(std::string name) : name_(std::move(name)) {}

    /// Adds a coroutine that is cancelled when the loop ends.
    void spawn(boost::asio::awaitable<void> work);

    /// Runs `main` and the others to their end, and gives the exit code. `stop` makes `main` end.
    int run(boost::asio::awaitable<void> main, std::function<void()> stop);

private:
    void finished(std::exception_ptr error);
    void stop();

    std::string name_;
    boost::asio::io_context context_{1};
    boost::asio::signal_set signals_{context_};
    std::list<boost::asio::cancellation_signal> cancellations_;
    std::function<void()> stop_;
    bool stopping_ = false;
    int status_ = 0;
};

}  // namespace demo
