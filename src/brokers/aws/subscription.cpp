#include "asio/suspension.hpp"
#include "brokers/aws/names.hpp"
#include "brokers/aws/reader.hpp"
#include "brokers/aws/trouble.hpp"
#include "txm/aws.hpp"
#include "txm/error.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

namespace txm::aws {

using namespace detail;
namespace asio = boost::asio;

namespace {

// Of the requests that show others what was not acknowledged, when a subscription ends.
constexpr std::chrono::milliseconds close_time{2'000};

std::vector<std::string> checked(std::vector<std::string> topics, const SubscriptionOptions& options) {
    std::ranges::sort(topics);
    topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
    if (topics.empty())
        throw std::invalid_argument("txm: a subscription needs at least one topic");
    if (options.behind_sns && options.consumer.empty())
        throw Error(
            Errc::invalid_configuration,
            "a consumer behind SNS has a queue of its own and needs a name: give it one with letters, digits, - "
            "and _; to share an inbox whose consumer has none, name the queue in SubscriptionOptions, or read an "
            "existing "
            "one through sqs:");
    if (options.visibility < std::chrono::seconds{1} || options.visibility > std::chrono::hours{12})
        throw Error(Errc::invalid_configuration, "the visibility of a subscription must be from 1 second to 12 hours");
    if (options.wait < std::chrono::seconds{0} || options.wait > std::chrono::seconds{20})
        throw Error(Errc::invalid_configuration, "the wait of a subscription must be from 0 to 20 seconds");
    try {
        for (const std::string& topic : topics)
            queue_name(options.broker, topic, options.behind_sns ? options.consumer : std::string{});
    } catch (const Error& e) {
        throw Error(Errc::invalid_configuration, e.what());
    }
    return topics;
}

/// One who waits until a delivery is settled.
struct Settling {
    std::exception_ptr error;
    txm::detail::Suspension suspension;
};

}  // namespace

/// The reader and its thread: a long poll goes on while nobody is in receive(), and outlives the coroutine that began it.
class Subscription::Impl {
public:
    Impl(std::vector<std::string> topics, SubscriptionOptions options)
        : extend_within_(std::chrono::milliseconds(options.visibility) / 3),
          reader_(std::make_shared<Reader>(context_.get_executor(), checked(std::move(topics), options), options)) {}

    ~Impl() {
        if (!thread_.joinable())
            return;
        asio::co_spawn(context_, reader_->close(close_time), [](std::exception_ptr) {});
        work_.reset();
        thread_.join();
    }

    awaitable<std::vector<Delivery>> receive(std::size_t max) {
        start();
        const auto request = std::make_shared<Reader::Request>(max);
        const auto begin = [this, &request] {
            asio::post(context_, [reader = reader_, request] { reader->receive(request); });
        };
        co_await txm::detail::suspend(request->suspension, begin);
        if (request->error)
            std::rethrow_exception(request->error);
        co_return std::move(request->deliveries);
    }

    awaitable<void> acknowledge(std::uint64_t token) {
        start();
        const auto settling = std::make_shared<Settling>();
        const auto begin = [this, &settling, token] {
            asio::post(context_, [reader = reader_, settling, token] {
                reader->acknowledge(token, [settling](std::exception_ptr problem) {
                    settling->error = problem;
                    settling->suspension.resume();
                });
            });
        };
        co_await txm::detail::suspend(settling->suspension, begin);
        if (settling->error)
            std::rethrow_exception(settling->error);
    }

    void extend(std::uint64_t token) {
        asio::post(context_, [reader = reader_, token] { reader->extend(token); });
    }

    std::chrono::milliseconds extend_within() const noexcept { return extend_within_; }

    void drain() {
        asio::post(context_, [reader = reader_] { reader->drain(); });
    }

    void interrupt() {
        asio::post(context_, [reader = reader_] { reader->interrupt(); });
    }

private:
    void start() {
        std::call_once(started_, [this] { thread_ = std::thread([this] { context_.run(); }); });
    }

    const std::chrono::milliseconds extend_within_;
    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    const std::shared_ptr<Reader> reader_;
    std::once_flag started_;
    std::thread thread_;
};

Subscription::Subscription(std::vector<std::string> topics, SubscriptionOptions options)
    : impl_(std::make_shared<Impl>(std::move(topics), std::move(options))) {}

Subscription::~Subscription() = default;

awaitable<std::vector<Delivery>> Subscription::receive(std::size_t max) {
    return impl_->receive(max);
}

awaitable<void> Subscription::acknowledge(const Delivery& delivery) {
    return impl_->acknowledge(delivery.token);
}

awaitable<void> Subscription::extend(const Delivery& delivery) {
    impl_->extend(delivery.token);
    co_return;
}

std::chrono::milliseconds Subscription::extend_within() const noexcept {
    return impl_->extend_within();
}

awaitable<void> Subscription::drain() {
    impl_->drain();
    co_return;
}

void Subscription::interrupt() {
    impl_->interrupt();
}

awaitable<void> subscribe(std::vector<std::string> topics, SubscriptionOptions options) {
    options.broker.create = true;
    topics = checked(std::move(topics), options);
    Sqs sqs(options.broker.client);
    Sns sns(options.broker.client);
    std::exception_ptr problem;
    try {
        for (const std::string& topic : topics)
            co_await prepare_queue(sqs, sns, options, topic);
    } catch (...) {
        problem = as_unavailable(std::current_exception(), true);
    }
    if (problem)
        std::rethrow_exception(problem);
}

}  // namespace txm::aws
