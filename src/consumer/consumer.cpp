#include "txm/consumer.hpp"

#include "consumer/run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <mutex>
#include <utility>

namespace txm {

namespace asio = boost::asio;

class ConsumerRunner::Impl {
public:
    Impl(ConsumerStore& store, Subscription& subscription, ConsumerOptions options, Handle handle)
        : parts{store, subscription, std::move(options), std::move(handle)} {}

    // The run ends with its executor, this may live longer: so it holds the run weakly.
    std::shared_ptr<detail::ConsumerRun> start(asio::any_io_executor strand) {
        auto run = std::make_shared<detail::ConsumerRun>(std::move(strand), parts);
        const std::lock_guard lock(mutex_);
        run_ = run;
        if (stops_ > 0)
            run->stop(stops_);
        return run;
    }

    void stop() {
        const std::lock_guard lock(mutex_);
        ++stops_;
        const auto run = run_.lock();
        if (run)
            asio::post(run->strand(), [run, times = stops_] { run->stop(times); });
    }

    detail::ConsumerParts parts;

private:
    std::mutex mutex_;
    std::weak_ptr<detail::ConsumerRun> run_;
    int stops_ = 0;
};

ConsumerRunner::ConsumerRunner(ConsumerStore& store, Subscription& subscription, ConsumerOptions options, Handle handle)
    : impl_(std::make_shared<Impl>(store, subscription, std::move(options), std::move(handle))) {}

ConsumerRunner::~ConsumerRunner() = default;

awaitable<void> ConsumerRunner::run() {
    const std::shared_ptr<Impl> impl = impl_;
    asio::any_io_executor strand = asio::make_strand(co_await asio::this_coro::executor);
    const auto run = impl->start(strand);
    co_await asio::co_spawn(strand, run->supervise(), asio::use_awaitable);
}

void ConsumerRunner::stop() noexcept {
    try {
        impl_->stop();
    } catch (...) {
        // Out of memory: the run goes on, and the caller may ask again.
    }
}

void ConsumerRunner::strict() noexcept {
    impl_->parts.is_strict = true;
}

ConsumerStatistics ConsumerRunner::statistics() const {
    return impl_->parts.counters.read();
}

void ConsumerRunner::on_event(std::function<void(const std::string&)> listener) {
    impl_->parts.on_event = std::move(listener);
}

}  // namespace txm
