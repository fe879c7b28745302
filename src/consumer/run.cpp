#include "consumer/run.hpp"

#include "core/fault_point.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>

namespace txm::detail {

namespace asio = boost::asio;
using std::chrono::steady_clock;

namespace {

std::chrono::milliseconds extension_interval(const ConsumerParts& parts) {
    const std::chrono::milliseconds wanted = parts.options.extend_every, least = parts.subscription.extend_within();
    return least > std::chrono::milliseconds{0} ? std::min(wanted, least) : wanted;
}

}  // namespace

ConsumerRun::ConsumerRun(asio::any_io_executor strand, ConsumerParts& parts)
    : strand_(std::move(strand)),
      parts_(parts),
      store_(parts.store),
      subscription_(parts.subscription),
      options_(parts.options),
      extend_every_(extension_interval(parts)),
      counters_(parts.counters),
      limit_(std::max<std::size_t>(1, parts.options.max_in_flight)),
      window_(2 * limit_),
      lanes_(window_),
      backoff_(parts.options.backoff, parts.options.max_backoff),
      receiver_(strand_),
      clock_(strand_),
      retrier_(strand_),
      purger_(strand_),
      extender_(strand_),
      first_from_store_(limit_),
      changed_(strand_) {}

awaitable<void> ConsumerRun::supervise() {
    // A cancelled run still has to wait for its children.
    co_await asio::this_coro::throw_if_cancelled(false);
    spawn(receiver_, receive());
    spawn(clock_, keep_time());
    spawn(retrier_, retry_parked());
    spawn(extender_, extend());
    if (options_.inbox_retention.count() > 0)
        spawn(purger_, purge());

    const auto cancellation = co_await asio::this_coro::cancellation_state;
    const auto is_told_to_end = [&] {
        return stops_ > 0 || failure_ || cancellation.cancelled() != asio::cancellation_type::none;
    };
    while (!is_told_to_end() && !is_drained())
        co_await changed_.wait();

    begin_ending();
    const Time deadline = steady_clock::now() + options_.drain_deadline;
    while (children_ > 0) {
        const bool is_over =
            stops_ > 1 || cancellation.cancelled() != asio::cancellation_type::none || steady_clock::now() >= deadline;
        if (is_over && !is_cancelled_)
            cancel_children();
        co_await changed_.wait_until(is_cancelled_ ? Time::max() : deadline);
    }
    try {
        co_await store_.release();
    } catch (const std::exception& e) {
        say(std::string("the leases were not given back, they end by themselves: ") + e.what());
    }
    counters_.in_flight = 0;
    if (failure_)
        std::rethrow_exception(failure_);
}

void ConsumerRun::stop(int times) {
    stops_ = times;
    begin_ending();  // here, so that nothing begins that was not begun when stop() was called
    changed_.notify();
}

void ConsumerRun::spawn(Child& child, awaitable<void> body) {
    ++children_;
    auto ended = [self = shared_from_this()](std::exception_ptr problem) {
        --self->children_;
        if (problem && !self->is_cancelled_)
            self->fail(problem);
        self->changed_.notify();
    };
    asio::co_spawn(strand_, std::move(body), asio::bind_cancellation_slot(child.cancel.slot(), std::move(ended)));
}

void ConsumerRun::fail(std::exception_ptr problem) {
    if (!failure_)
        failure_ = std::move(problem);
    changed_.notify();
}

bool ConsumerRun::is_drained() const {
    return options_.drain && !is_receiving_ && from_broker_ == 0 && from_store_.empty() && nothing_is_due_;
}

void ConsumerRun::begin_ending() {
    if (is_ending_)
        return;
    is_ending_ = true;
    subscription_.interrupt();
    for (Child* child : {&receiver_, &clock_, &retrier_, &purger_, &extender_})
        child->signal.notify();
    for (Worker& worker : workers_)
        worker.signal.notify();
}

void ConsumerRun::cancel_children() {
    is_cancelled_ = true;
    for (Child* child : {&receiver_, &clock_, &retrier_, &purger_, &extender_})
        child->cancel.emit(asio::cancellation_type::terminal);
    for (Worker& worker : workers_)
        worker.cancel.emit(asio::cancellation_type::terminal);
}

awaitable<void> ConsumerRun::keep_time() {
    while (!is_ending_) {
        const Time now = steady_clock::now();
        lanes_.wake(now);
        pump();
        Time next = lanes_.next_retry().value_or(Time::max());
        if (outage_.is_on(now))
            next = std::min(next, outage_.until());
        co_await clock_.signal.wait_until(next);
    }
}

// After an error of the store or the broker: waits before the next try. False: there will be none.
awaitable<bool> ConsumerRun::later(Child& child, std::exception_ptr problem, int& failures, const char* what) {
    const Judgement judgement = judge(problem, Uuid{});
    if (judgement.verdict == Verdict::fatal) {
        fail(problem);
        co_return false;
    }
    if (is_ending_ || is_cancelled_)
        co_return false;
    if (++failures == 1)
        say(std::string(what) + ", trying again: " + judgement.why);
    const Time until = steady_clock::now() + backoff_.after(failures);
    co_await child.signal.wait_until(until);
    co_return !is_ending_;
}

void ConsumerRun::say(const std::string& line) {
    if (parts_.on_event)
        parts_.on_event(line);
}

}  // namespace txm::detail
