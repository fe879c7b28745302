#include "brokers/aws/reader.hpp"

#include "brokers/aws/names.hpp"
#include "brokers/aws/trouble.hpp"
#include "core/backoff.hpp"
#include "core/fault_point.hpp"
#include "txm/error.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace txm::aws::detail {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using std::chrono::steady_clock;

namespace {

constexpr std::size_t most = 10;    // messages a request
constexpr auto drained_after = 2s;  // without a delivery
constexpr auto least_wait = 100ms;  // between polls that bring nothing at once
constexpr auto wait_in_turns = 1s;  // of a poll that keeps another queue waiting for its turn

/// Every poll has a connection for itself, so that acknowledgements do not wait for them.
ClientOptions with_polls(const SubscriptionOptions& options, std::size_t queues) {
    ClientOptions result = options.broker.client;
    result.max_connections += queues * std::max<std::size_t>(1, options.max_polls);
    return result;
}

}  // namespace

struct Reader::Queue {
    std::string topic;
    std::string url{};  ///< once it is prepared
    std::size_t polls = 0;
    std::size_t parallel = 1;  ///< polls that it is worth
    int failures = 0;
    std::exception_ptr error{};  ///< of the last poll, as long as nobody was told of it
    Time retry_at{};
    Time empty_from{};  ///< when the last poll of a drain began that brought nothing
    std::shared_ptr<HandleBatches> deletions{}, extensions{};
};

Reader::Reader(asio::any_io_executor executor, std::vector<std::string> topics, SubscriptionOptions options)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      sqs_(std::make_unique<Sqs>(with_polls(options_, topics.size()))),
      sns_(std::make_unique<Sns>(options_.broker.client)),
      pause_(executor_),
      closed_(executor_) {
    for (std::string& topic : topics) {
        auto queue = std::make_unique<Queue>();
        queue->topic = std::move(topic);
        Queue* const that = queue.get();
        const auto erase = [this, that](std::span<const std::string> receipts) {
            return open().erase(that->url, receipts);
        };
        const auto hide = [this, that](std::span<const std::string> receipts) {
            return open().hide(that->url, receipts, options_.visibility);
        };
        queue->deletions = std::make_shared<HandleBatches>(executor_, erase);
        queue->extensions = std::make_shared<HandleBatches>(executor_, hide);
        queues_.push_back(std::move(queue));
    }
}

Reader::~Reader() = default;

Sqs& Reader::open() const {
    if (is_ended_)
        throw Error(Errc::broker_unavailable, "the subscription has ended");
    return *sqs_;
}

void Reader::receive(std::shared_ptr<Request> request) {
    request_ = std::move(request);
    pump();
}

void Reader::interrupt() {
    is_interrupted_ = true;
    pump();
}

void Reader::drain() {
    is_draining_ = true;
    quiet_since_ = steady_clock::now();
    pump();
}

// Hands over what there is, and fetches what the one who waits may still be given.
void Reader::pump() {
    if (is_closing_ || !request_ || serve())
        return;
    const Time now = steady_clock::now();
    Time next = Time::max();
    const std::size_t taken = ready_.size() + asked_;
    std::size_t room = request_->max > taken ? request_->max - taken : 0;
    // Every queue has a poll before one has two.
    for (const bool is_first : {true, false}) {
        for (std::size_t i = 0; i < queues_.size() && room > 0; ++i) {
            Queue& queue = *queues_[(next_queue_ + i) % queues_.size()];
            if (is_draining_ && queue.empty_from >= quiet_since_)
                continue;
            if (queue.retry_at > now) {
                next = std::min(next, queue.retry_at);
                continue;
            }
            while (room > 0 && (is_first ? queue.polls == 0 : queue.polls < queue.parallel)) {
                const std::size_t max = asked_for(queue, room);
                begin_poll(queue, max);
                room -= max;
            }
        }
    }
    next_queue_ = (next_queue_ + 1) % queues_.size();
    if (next != Time::max())
        pump_at(next);
}

// What a poll may bring, so that every queue without one gets its share.
std::size_t Reader::asked_for(const Queue& queue, std::size_t room) const {
    std::size_t without = queue.polls == 0 ? 0 : 1;
    for (const auto& other : queues_)
        without += other->polls == 0 ? 1 : 0;
    return std::clamp<std::size_t>(room / std::max<std::size_t>(1, without), 1, most);
}

void Reader::pump_at(Time time) {
    pause_.expires_at(time);
    pause_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
        const auto self = weak.lock();
        if (self && !error)
            self->pump();
    });
}

// Gives the one who waits an answer, when there is one.
bool Reader::serve() {
    if (std::exchange(is_interrupted_, false)) {
        answer();
        return true;
    }
    const Time now = steady_clock::now();
    while (!ready_.empty() && request_->deliveries.size() < request_->max) {
        const auto handle = in_flight_.find(ready_.front().token);
        if (handle->second.visible_at > now)
            request_->deliveries.push_back(std::move(ready_.front()));
        else
            in_flight_.erase(handle);  // others may have it by now: it comes again
        ready_.pop_front();
    }
    for (const auto& queue : queues_)
        if (request_->deliveries.empty() && !request_->error)
            request_->error = std::exchange(queue->error, nullptr);
    if (request_->deliveries.empty() && !request_->error && !is_drained())
        return false;
    answer();
    return true;
}

void Reader::answer() {
    std::exchange(request_, nullptr)->suspension.resume();
}

bool Reader::is_drained() const {
    return is_draining_ && in_flight_.empty() && asked_ == 0 &&
           std::ranges::all_of(queues_, [this](const auto& queue) { return queue->empty_from >= quiet_since_; });
}

void Reader::begin_poll(Queue& queue, std::size_t max) {
    ++queue.polls;
    asked_ += max;
    asio::co_spawn(executor_, poll(queue, max), asio::detached);
}

awaitable<void> Reader::poll(Queue& queue, std::size_t max) {
    const auto self = shared_from_this();
    std::exception_ptr problem;
    try {
        co_await fetch(queue, max);
    } catch (...) {
        problem = std::current_exception();
    }
    --queue.polls;
    asked_ -= max;
    if (problem)
        failed(queue, problem);
    pump();
}

awaitable<void> Reader::fetch(Queue& queue, std::size_t max) {
    if (queue.url.empty())
        queue.url = co_await prepare_queue(open(), *sns_, options_, queue.topic);
    const bool is_draining = is_draining_;
    const bool is_scarce = request_ && request_->max < queues_.size();
    ReceiveRequest request;
    request.max = max;
    request.visibility = options_.visibility;
    request.wait = is_draining ? drained_after : is_scarce ? std::min(options_.wait, wait_in_turns) : options_.wait;
    if (options_.broker.fifo)
        request.attempt_id = new_uuid().to_string();
    const Time began = steady_clock::now();
    std::vector<Received> messages = co_await open().receive(queue.url, std::move(request));
    fault::point("aws.received");
    queue.failures = 0;
    queue.error = nullptr;
    const Time now = steady_clock::now();
    if (messages.size() == max)
        queue.parallel = std::clamp<std::size_t>(2 * queue.parallel, 1, std::max<std::size_t>(1, options_.max_polls));
    else if (messages.size() < max / 2)
        queue.parallel = std::max<std::size_t>(1, queue.parallel / 2);
    if (!messages.empty()) {
        take(queue, std::move(messages));
        co_return;
    }
    if (is_draining && now - began >= drained_after - least_wait)
        queue.empty_from = began;
    if (now - began < least_wait)
        queue.retry_at = now + least_wait;
}

void Reader::take(Queue& queue, std::vector<Received> messages) {
    if (is_closing_) {
        std::vector<std::string> receipts;
        receipts.reserve(messages.size());
        for (Received& message : messages)
            receipts.push_back(std::move(message.receipt));
        release(queue, std::move(receipts));
        return;
    }
    const Time now = steady_clock::now();
    quiet_since_ = now;
    for (Received& message : messages) {
        Handle handle{&queue, std::move(message.receipt), now + options_.visibility};
        Delivery delivery = from_wire(std::move(message), queue.topic);
        delivery.token = ++last_token_;
        in_flight_.emplace(delivery.token, std::move(handle));
        ready_.push_back(std::move(delivery));
    }
}

void Reader::failed(Queue& queue, std::exception_ptr problem) {
    queue.retry_at = steady_clock::now() + backoff_.after(++queue.failures);
    if (is_missing(problem))
        queue.url.clear();  // deleted since it was prepared
    queue.error = as_unavailable(problem, options_.broker.create);
}

void Reader::acknowledge(std::uint64_t token, Done done) {
    const auto handle = in_flight_.find(token);
    if (handle == in_flight_.end()) {
        done(nullptr);
        return;
    }
    fault::point("aws.before_delete");
    Queue& queue = *handle->second.queue;
    queue.deletions->add(handle->second.receipt,
                         [self = shared_from_this(), token, done = std::move(done)](std::exception_ptr problem) {
                             self->settled(token, problem, done);
                         });
}

void Reader::settled(std::uint64_t token, std::exception_ptr problem, const Done& done) {
    if (!problem) {
        fault::point("aws.after_delete");
        in_flight_.erase(token);
        quiet_since_ = steady_clock::now();
    }
    done(problem);
    if (is_draining_ && !problem && in_flight_.empty())
        pump();
}

// Not waited for: one that fails comes again, and the inbox knows it. Consumers extend often, and requests cost: one that was
// extended a short while ago is hidden for long enough.
void Reader::extend(std::uint64_t token) {
    const auto handle = in_flight_.find(token);
    if (handle == in_flight_.end())
        return;
    const Time now = steady_clock::now();
    // In milliseconds: two thirds of one second are none in whole seconds.
    if (handle->second.visible_at - now > std::chrono::milliseconds(options_.visibility) * 2 / 3)
        return;
    fault::point("aws.before_extend");
    const Time visible_at = std::exchange(handle->second.visible_at, now + options_.visibility);
    const auto extended = [self = shared_from_this(), token, visible_at](std::exception_ptr problem) {
        const auto failed = problem ? self->in_flight_.find(token) : self->in_flight_.end();
        if (failed != self->in_flight_.end())
            failed->second.visible_at = visible_at;  // the next call tries again
    };
    handle->second.queue->extensions->add(handle->second.receipt, extended);
}

awaitable<void> Reader::close(std::chrono::milliseconds time) {
    const auto self = shared_from_this();
    is_closing_ = true;
    close_time_ = time;
    pause_.cancel();
    if (request_)
        answer();
    std::map<std::uint64_t, Handle> in_order(std::make_move_iterator(in_flight_.begin()),
                                             std::make_move_iterator(in_flight_.end()));
    std::unordered_map<Queue*, std::vector<std::string>> receipts;
    for (auto& [token, handle] : in_order)
        receipts[handle.queue].push_back(std::move(handle.receipt));
    in_flight_.clear();
    ready_.clear();
    for (auto& [queue, all] : receipts)
        release(*queue, std::move(all));
    if (releasing_ > 0) {
        closed_.expires_after(time);
        boost::system::error_code ignored;
        co_await closed_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    // Not destroyed: a poll that has its answer, but did not go on yet, still uses them.
    is_ended_ = true;
    sqs_->close();
    sns_->close();
}

void Reader::release(Queue& queue, std::vector<std::string> receipts) {
    for (std::size_t i = 0; i < receipts.size(); i += most) {
        const auto begin = receipts.begin() + static_cast<std::ptrdiff_t>(i);
        const auto end = receipts.begin() + static_cast<std::ptrdiff_t>(std::min(i + most, receipts.size()));
        std::vector<std::string> some(std::make_move_iterator(begin), std::make_move_iterator(end));
        ++releasing_;
        asio::co_spawn(executor_, show(queue, std::move(some)), asio::detached);
    }
}

awaitable<void> Reader::show(Queue& queue, std::vector<std::string> receipts) {
    const auto self = shared_from_this();
    CallOptions options;
    options.max_attempts = 1;
    options.timeout = close_time_;
    try {
        fault::point("aws.before_release");
        co_await open().hide(queue.url, receipts, std::chrono::seconds{0}, options);
    } catch (const std::exception&) {
        // They come again when their time is over.
    }
    if (--releasing_ == 0)
        closed_.cancel();
}

}  // namespace txm::aws::detail
