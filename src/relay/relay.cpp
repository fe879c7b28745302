#include "txm/relay.hpp"

#include "core/fault_point.hpp"
#include "relay/relay_impl.hpp"
#include "relay/trouble.hpp"
#include "txm/error.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace txm {

using relay::Clock;
using relay::Trouble;
using namespace std::chrono_literals;

namespace {

// What mark_attempts() stores.
Outcome attempt_of(const StoredMessage& message) {
    return Outcome{message.message_id,     message.aggregate_id, message.sequence,
                   Settlement::dispatched, message.attempts,     {}};
}

}  // namespace

Relay::Impl::Impl(OutboxFeed& feed, Publisher& publisher, RelayOptions options)
    : feed_(feed),
      publisher_(publisher),
      options_(options),
      max_batches_(std::max<std::size_t>(publisher.max_concurrent_batches(), fault::broken("lane_window") ? 2 : 1)),
      lanes_(options_, publisher.gapless(), [&publisher](const StoredMessage& m) { return publisher.destination(m); }) {
}

awaitable<void> Relay::Impl::run() {
    const auto self = shared_from_this();
    const auto executor = co_await boost::asio::this_coro::executor;
    boost::asio::any_io_executor strand = boost::asio::make_strand(executor);
    signal_.emplace(strand);
    {
        const std::lock_guard lock{mutex_};
        strand_ = strand;
    }
    co_await boost::asio::co_spawn(strand, work(), boost::asio::use_awaitable);
}

awaitable<void> Relay::Impl::work() {
    const Parting parting{*this};
    // stop() is how it ends: cancelled in the middle, it would leave operations behind that use it.
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    for (;;) {
        const bool acquired = co_await acquire();
        if (!acquired)
            co_return;
        counters_.is_active = true;
        co_await carry_messages();
        counters_.is_active = false;
        counters_.in_flight = 0;
        if (is_abandoned_ && stops_ > 1)
            co_return;
        if (!lease_lost_)
            co_await release();
        if (lasting_trouble_)
            std::rethrow_exception(lasting_trouble_);
        if (stops_ > 0 || is_drained_)
            co_return;
    }
}

awaitable<bool> Relay::Impl::acquire() {
    for (int failures = 1; stops_ == 0; ++failures) {
        std::exception_ptr error;
        try {
            fault::point("relay.before_acquire");
            const Fence fence = co_await feed_.acquire();
            suspects_left_ = fence.clean_start ? 0 : options_.max_in_flight;
            if (!fence.clean_start)
                report(
                    "the relay before this one ended without giving its lease back: what it may have been sending is "
                    "sent again with care, which is slower");
            acquired_at_ = now();
            settled_at_ = Clock::now();
            lease_lost_ = false;
            co_return true;
        } catch (...) {
            error = std::current_exception();
        }
        const Trouble trouble = relay::classify(error);
        if (trouble == Trouble::lasting)
            std::rethrow_exception(error);
        if (trouble == Trouble::passing) {
            if (failures == 1)
                report("cannot take the lease, trying again: " + relay::text_of(error));
            co_await pause(failures);
        }
    }
    co_return false;
}

awaitable<void> Relay::Impl::release() {
    try {
        fault::point("relay.before_release");
        co_await feed_.release();
    } catch (const std::exception& e) {
        report(std::string("the lease was not given back, the next owner waits for its end: ") + e.what());
    }
}

awaitable<void> Relay::Impl::carry_messages() {
    for (;;) {
        const TimePoint now = Clock::now();
        if (stops_ > 0 && stop_deadline_ == TimePoint{})
            stop_deadline_ = now + options_.drain_deadline;
        if (stops_ > 1 || (stops_ > 0 && now >= stop_deadline_)) {
            abandon();
            break;
        }
        start_work(now);
        if (must_end() && is_idle())
            break;
        if (options_.drain && !must_end())
            co_await look_whether_drained(now);

        const bool may_send = publishing_ < max_batches_ && !settle_first_ && !must_end() && feed_.may_send();
        TimePoint deadline = lanes_.next_deadline(may_send);
        if (must_end())
            deadline = stops_ > 0 ? stop_deadline_ : TimePoint::max();
        else if (reading_ == 0 && read_again_at_ > now)
            deadline = std::min(deadline, read_again_at_);
        if (options_.drain && !must_end() && has_nothing_to_do())
            deadline = std::min(deadline, look_again_at_);
        if (!lease_lost_ && settling_ == 0)
            deadline = std::min(deadline, settle_at());
        co_await signal_->wait_until(deadline);
    }
    decisions_ = {};
    if (!is_abandoned_)
        lanes_.clear();
}

bool Relay::Impl::must_end() const noexcept {
    return stops_ > 0 || lease_lost_ || is_drained_ || lasting_trouble_;
}

// But for a read that waits for more.
bool Relay::Impl::is_done_but_reading() const noexcept {
    return publishing_ == 0 && settling_ == 0 && parking_ == 0 && decisions_.outcomes.empty() &&
           decisions_.parks.empty();
}

bool Relay::Impl::has_nothing_to_do() const noexcept {
    return lanes_.size() == 0 && is_done_but_reading();
}

// What the store has not recorded yet matters only as long as it may be recorded.
bool Relay::Impl::is_idle() const noexcept {
    if (lease_lost_)
        return reading_ == 0 && publishing_ == 0 && settling_ == 0 && parking_ == 0;
    return reading_ == 0 && is_done_but_reading();
}

awaitable<void> Relay::Impl::look_whether_drained(TimePoint now) {
    if (!has_nothing_to_do() || now < look_again_at_)
        co_return;
    look_again_at_ = now + 50ms;
    std::exception_ptr error;
    try {
        is_drained_ = co_await feed_.drained();
    } catch (...) {
        error = std::current_exception();
    }
    if (error && can_retry(error, "cannot ask the store what is left", ++drain_failures_))
        look_again_at_ = Clock::now() + outage_.after(drain_failures_);
    else if (!error)
        drain_failures_ = 0;
    // Something may have come in the meantime.
    is_drained_ = is_drained_ && has_nothing_to_do();
    if (is_drained_) {
        feed_.interrupt();
        wake();
    }
}

void Relay::Impl::start_work(TimePoint now) {
    lanes_.tick(now, decisions_);
    if (!must_end()) {
        if (feed_.may_send())
            start_batches(now);
        start_read(now);
    }
    if (!lease_lost_) {
        if (settling_ == 0 && now >= settle_at()) {
            settled_at_ = now;
            spawn(settle_once(), settling_);
        }
        while (parking_ < 16 && !decisions_.parks.empty()) {
            relay::ParkRequest request = std::move(decisions_.parks.back());
            decisions_.parks.pop_back();
            spawn(park_once(std::move(request)), parking_);
        }
    }
    report_decisions();
    counters_.in_flight.store(lanes_.size(), std::memory_order_relaxed);
}

// A read renews the lease by itself. Without one, because the memory is full while the broker is slow, an empty settlement does.
Relay::Impl::TimePoint Relay::Impl::renew_at() const {
    if (!feed_.may_send())
        return settled_at_ + 50ms;
    return reading_ > 0 ? TimePoint::max() : settled_at_ + 1s;
}

// While few messages flow, their marks are gathered for some milliseconds: each settlement takes the store's write lock and
// flushes, which the application's own commits wait for. What somebody waits for is never held back.
Relay::Impl::TimePoint Relay::Impl::settle_at() const {
    const auto& outcomes = decisions_.outcomes;
    if (outcomes.empty())
        return renew_at();
    const auto is_awaited = [](const Outcome& outcome) { return outcome.settlement != Settlement::dispatched; };
    if (must_end() || settle_first_ || !decisions_.parks.empty() || outcomes.size() >= options_.batch ||
        std::ranges::any_of(outcomes, is_awaited))
        return TimePoint::min();
    return std::min(renew_at(), settled_at_ + 5ms);
}

void Relay::Impl::start_batches(TimePoint now) {
    settle_first_ = settle_first_ && (settling_ > 0 || !decisions_.outcomes.empty());
    while (publishing_ < max_batches_ && !settle_first_) {
        auto batch = std::make_unique<relay::Batch>(lanes_.take(now, decisions_));
        if (batch->empty())
            return;
        counters_.resent.fetch_add(batch->resent, std::memory_order_relaxed);
        spawn(publish(std::move(batch)), publishing_);
    }
}

// Reads ahead in quarters of what may be in memory, so that there is always something to send while the next is read.
void Relay::Impl::start_read(TimePoint now) {
    const std::size_t quarter = std::max<std::size_t>(options_.max_in_flight / 4, 1);
    const std::size_t held = lanes_.size() + decisions_.outcomes.size();
    const bool has_room = held + quarter <= options_.max_in_flight &&
                          lanes_.bytes() + options_.max_bytes_in_flight / 4 <= options_.max_bytes_in_flight;
    if (reading_ == 0 && has_room && now >= read_again_at_)
        spawn(read_once(quarter, options_.max_bytes_in_flight / 4), reading_);
}

void Relay::Impl::spawn(awaitable<void> operation, std::size_t& running) {
    ++running;
    const auto cancellation = cancellations_.emplace(cancellations_.end());
    auto ended = [self = shared_from_this(), &running, cancellation](const std::exception_ptr& error) {
        --running;
        self->cancellations_.erase(cancellation);
        if (error)
            self->end_with(error);
        self->wake();
    };
    boost::asio::co_spawn(strand_, std::move(operation),
                          boost::asio::bind_cancellation_slot(cancellation->slot(), std::move(ended)));
}

awaitable<void> Relay::Impl::read_once(std::size_t max, std::size_t max_bytes) {
    std::vector<StoredMessage> messages;
    std::exception_ptr error;
    try {
        messages = co_await feed_.read(max, max_bytes);
        fault::point("relay.after_read");
    } catch (...) {
        error = std::current_exception();
    }
    if (is_abandoned_)
        co_return;
    if (error && can_retry(error, "cannot read messages", ++read_failures_))
        read_again_at_ = Clock::now() + outage_.after(read_failures_);
    else if (!error)
        read_failures_ = 0;

    std::vector<bool> is_suspect(messages.size(), false);
    if (suspects_left_ > 0 && !messages.empty()) {
        is_marking_ = true;
        given_back_.clear();
        const bool marked = co_await mark_suspects(messages, is_suspect);
        is_marking_ = false;
        if (!marked)
            co_return;
    }
    counters_.read.fetch_add(messages.size(), std::memory_order_relaxed);
    const TimePoint now = Clock::now();
    for (std::size_t i = 0; i < messages.size(); ++i) {
        // Of a lane that was blocked since they were read, they are the feed's again.
        const bool is_given_back = !given_back_.empty() && given_back_.contains(messages[i].aggregate_id.str());
        if (!is_given_back)
            lanes_.push(std::move(messages[i]), is_suspect[i], now, decisions_);
    }
    given_back_.clear();
}

void Relay::Impl::note_given_back(const AggregateId& aggregate_id) {
    if (is_marking_)
        given_back_.insert(aggregate_id.str());
}

// The previous owner ended without a word, perhaps because of a message that it was sending. What it may have been sending
// gets its attempt counted before it is sent: all together when it is the first time, in ever smaller batches when it is not.
awaitable<bool> Relay::Impl::mark_suspects(std::vector<StoredMessage>& messages, std::vector<bool>& is_suspect) {
    std::vector<Outcome> starting;
    for (std::size_t i = 0; i < messages.size() && suspects_left_ > 0; ++i, --suspects_left_) {
        StoredMessage& message = messages[i];
        if (message.stored_at > acquired_at_)
            continue;
        if (message.attempts > 0) {
            is_suspect[i] = true;
            continue;
        }
        message.attempts = 1;
        starting.push_back(attempt_of(message));
    }
    if (starting.empty())
        co_return true;
    const bool marked = co_await mark(std::move(starting));
    co_return marked;
}

awaitable<bool> Relay::Impl::mark(std::vector<Outcome> starting) {
    for (int failures = 1;; ++failures) {
        std::exception_ptr error;
        try {
            fault::point("relay.before_mark");
            co_await feed_.mark_attempts(starting);
        } catch (...) {
            error = std::current_exception();
        }
        if (!error)
            co_return !is_abandoned_;
        if (is_abandoned_ || !can_retry(error, "cannot mark what is to be sent", failures) || stops_ > 0)
            co_return false;
        co_await pause(failures);
    }
}

awaitable<void> Relay::Impl::publish(std::unique_ptr<relay::Batch> batch) {
    if (batch->is_suspect) {
        std::vector<Outcome> starting;
        for (StoredMessage& message : batch->messages) {
            ++message.attempts;
            starting.push_back(attempt_of(message));
        }
        const bool marked = co_await mark(std::move(starting));
        if (!marked)
            co_return;  // the relay ends, or has lost its lease: nothing was sent
    }
    PublishBatch reports{batch->messages};
    std::exception_ptr error;
    try {
        co_await make_mistakes(*batch);
        fault::point("relay.before_publish");
        co_await publisher_.publish(reports);
        fault::point("relay.after_publish");
    } catch (...) {
        error = std::current_exception();
    }
    if (is_abandoned_)
        co_return;
    if (relay::classify(error) == Trouble::lasting)
        end_with(error);
    settle_first_ = settle_first_ || batch->is_suspect;
    // The relay lives: they were not what killed the last one, and a broker out of reach costs no attempt.
    std::vector<Outcome> innocent;
    for (std::size_t i = 0; batch->is_suspect && i < batch->messages.size(); ++i) {
        const PublishBatch::Report report = reports.report(i);
        if (report == PublishBatch::Report::acknowledged || report == PublishBatch::Report::refused)
            continue;
        --batch->messages[i].attempts;
        innocent.push_back(attempt_of(batch->messages[i]));
    }
    if (!innocent.empty()) {
        co_await mark(std::move(innocent));
        if (is_abandoned_)
            co_return;
    }
    const std::string failure = error ? relay::text_of(error) : std::string{};
    lanes_.finish(std::move(*batch), reports, failure, Clock::now(), decisions_);
}

// What the crash harness must be able to find.
awaitable<void> Relay::Impl::make_mistakes(const relay::Batch& batch) {
    if (fault::broken("mark_before_ack")) {
        std::vector<Outcome> outcomes;
        outcomes.reserve(batch.messages.size());
        for (const StoredMessage& m : batch.messages)
            outcomes.push_back(
                Outcome{m.message_id, m.aggregate_id, m.sequence, Settlement::dispatched, m.attempts, {}});
        co_await feed_.settle(outcomes);
    }
    if (fault::broken("lane_window") && batch.sent_at % 2 == 1) {
        boost::asio::steady_timer timer{strand_, 2ms};
        co_await timer.async_wait(boost::asio::use_awaitable);
    }
}

awaitable<void> Relay::Impl::settle_once() {
    const std::vector<Outcome> outcomes = std::exchange(decisions_.outcomes, {});
    for (int failures = 1;; ++failures) {
        std::exception_ptr error;
        try {
            fault::point("relay.before_settle");
            co_await feed_.settle(outcomes);
            fault::point("relay.after_settle");
        } catch (...) {
            error = std::current_exception();
        }
        if (is_abandoned_)
            co_return;
        if (!error)
            break;
        if (!can_retry(error, "cannot record what was acknowledged", failures))
            co_return;
        co_await pause(failures);
        if (is_abandoned_ || lease_lost_)
            co_return;
    }
    std::uint64_t dispatched = 0;
    for (const Outcome& outcome : outcomes) {
        if (outcome.settlement == Settlement::held)
            note_given_back(outcome.aggregate_id);
        if (outcome.settlement == Settlement::dispatched)
            ++dispatched;
        else
            lanes_.settled(outcome, decisions_);
    }
    counters_.dispatched.fetch_add(dispatched, std::memory_order_relaxed);
    counters_.dead.fetch_add(outcomes.size() - dispatched, std::memory_order_relaxed);
}

awaitable<void> Relay::Impl::park_once(relay::ParkRequest request) {
    for (int failures = 1;; ++failures) {
        std::exception_ptr error;
        try {
            fault::point("relay.before_park");
            co_await feed_.park(request.aggregate_id, request.from, request.attempts, request.next_attempt,
                                request.reason);
            fault::point("relay.after_park");
        } catch (...) {
            error = std::current_exception();
        }
        if (is_abandoned_)
            co_return;
        if (!error)
            break;
        if (!can_retry(error, "cannot record a blocked aggregate", failures))
            co_return;
        co_await pause(failures);
        if (is_abandoned_ || lease_lost_)
            co_return;
    }
    note_given_back(request.aggregate_id);
    counters_.parked.fetch_add(1, std::memory_order_relaxed);
    lanes_.parked(request.aggregate_id, decisions_);
}

// Whether the feed's operation may be tried again; when not, the relay is told to end or to take its lease again.
bool Relay::Impl::can_retry(const std::exception_ptr& error, const char* what, int failures) {
    switch (relay::classify(error)) {
        case Trouble::none:
        case Trouble::interrupted: return true;
        case Trouble::passing:
            if (failures == 1)
                report(std::string(what) + ", trying again: " + relay::text_of(error));
            return true;
        case Trouble::lease_lost:
            if (!std::exchange(lease_lost_, true)) {
                ++counters_.lease_losses;
                report("the lease was lost, taking it again: " + relay::text_of(error));
            }
            break;
        case Trouble::lasting: end_with(error); break;
    }
    feed_.interrupt();
    return false;
}

void Relay::Impl::end_with(const std::exception_ptr& error) {
    if (!lasting_trouble_)
        lasting_trouble_ = error;
    feed_.interrupt();
}

awaitable<void> Relay::Impl::pause(int failures) {
    boost::asio::steady_timer timer{strand_, outage_.after(failures)};
    boost::system::error_code ignored;
    co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
}

// Waits for nothing any more. What still runs keeps this object, and touches neither feed nor publisher when it ends.
void Relay::Impl::abandon() {
    is_abandoned_ = true;
    for (auto& cancellation : cancellations_)
        cancellation.emit(boost::asio::cancellation_type::terminal);
}

void Relay::Impl::report(const std::string& line) {
    if (listener_)
        listener_(line);
}

void Relay::Impl::report_decisions() {
    counters_.refused.fetch_add(std::exchange(decisions_.refused, 0), std::memory_order_relaxed);
    counters_.outages.fetch_add(std::exchange(decisions_.outages, 0), std::memory_order_relaxed);
    for (const std::string& line : std::exchange(decisions_.events, {}))
        report(line);
}

void Relay::Impl::wake() {
    if (signal_)
        signal_->notify();
}

void Relay::Impl::part() noexcept {
    signal_.reset();
    const std::lock_guard lock{mutex_};
    strand_ = {};
}

void Relay::Impl::stop() noexcept {
    ++stops_;
    try {
        feed_.interrupt();
        const std::lock_guard lock{mutex_};
        if (strand_)
            boost::asio::post(strand_, [self = shared_from_this()] { self->wake(); });
    } catch (...) {
        // Out of memory: the relay sees the count when it wakes up next.
    }
}

RelayStatistics Relay::Impl::statistics() const {
    RelayStatistics result;
    result.read = counters_.read;
    result.dispatched = counters_.dispatched;
    result.refused = counters_.refused;
    result.resent = counters_.resent;
    result.parked = counters_.parked;
    result.dead = counters_.dead;
    result.lease_losses = counters_.lease_losses;
    result.outages = counters_.outages;
    result.in_flight = counters_.in_flight;
    result.is_active = counters_.is_active;
    return result;
}

void Relay::Impl::on_event(std::function<void(const std::string&)> listener) {
    listener_ = std::move(listener);
}

Relay::Relay(OutboxFeed& feed, Publisher& publisher, RelayOptions options)
    : impl_(std::make_shared<Impl>(feed, publisher, options)) {}

Relay::~Relay() = default;

awaitable<void> Relay::run() {
    return impl_->run();
}

void Relay::stop() noexcept {
    impl_->stop();
}

RelayStatistics Relay::statistics() const {
    return impl_->statistics();
}

void Relay::on_event(std::function<void(const std::string&)> listener) {
    impl_->on_event(std::move(listener));
}

}  // namespace txm
