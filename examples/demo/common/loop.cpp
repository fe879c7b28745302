#include "common/loop.hpp"

#include "common/service.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>

#include <boost/system/system_error.hpp>

#include <csignal>
#include <exception>
#include <utility>

namespace asio = boost::asio;

namespace demo {

void Loop::spawn(asio::awaitable<void> work) {
    asio::co_spawn(context_, std::move(work),
                   asio::bind_cancellation_slot(cancellations_.emplace_back().slot(),
                                                [this](std::exception_ptr error) { finished(error); }));
}

int Loop::run(asio::awaitable<void> main, std::function<void()> stop_main) {
    stop_ = std::move(stop_main);
    signals_.add(SIGTERM);
    signals_.add(SIGINT);
    signals_.async_wait([this](const boost::system::error_code& error, int) {
        if (!error)
            stop();
    });
    asio::co_spawn(context_, std::move(main), [this](std::exception_ptr error) {
        finished(error);
        stop();
        signals_.cancel();
    });
    context_.run();
    return status_;
}

void Loop::finished(std::exception_ptr error) {
    if (!error)
        return;
    try {
        std::rethrow_exception(error);
    } catch (const boost::system::system_error& e) {
        if (stopping_ && e.code() == asio::error::operation_aborted)
            return;
        log(name_ + ": " + e.what());
    } catch (const std::exception& e) {
        log(name_ + ": " + e.what());
    }
    status_ = 1;
    stop();
}

void Loop::stop() {
    if (stopping_)
        return;
    stopping_ = true;
    for (auto& cancellation : cancellations_)
        cancellation.emit(asio::cancellation_type::terminal);
    stop_();
}

}  // namespace demo
