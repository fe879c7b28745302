#include "sqlite/database_impl.hpp"
#include "sqlite/lease.hpp"
#include "stores/sqlite/feed_checked_out.hpp"
#include "stores/sqlite/feed_scan.hpp"
#include "stores/sqlite/feed_wait.hpp"
#include "stores/sqlite/feed_writes.hpp"
#include "stores/sqlite/schema.hpp"
#include "txm/sqlite_feed.hpp"

#include "core/fault_point.hpp"
#include "txm/error.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace txm::sqlite {

using namespace detail;

namespace {

// How often a relay that waits for the lease looks whether its holder was killed, which nothing announces.
constexpr std::chrono::milliseconds takeover_check{50};

// A sweep for old messages begins that often, and while messages flow it goes on in steps that far apart.
constexpr std::chrono::minutes retention_interval{1};
constexpr std::chrono::milliseconds retention_step{50};

}  // namespace

class OutboxFeed::Impl : public std::enable_shared_from_this<OutboxFeed::Impl> {
public:
    Impl(Database& db, FeedOptions options)
        : db_(db.impl()),
          options_(std::move(options)),
          scan_(options_.table),
          writes_(options_.table, options_.retention == std::chrono::seconds{0}),
          lease_(db_.writer(), db_.path, outbox_source(options_.table), options_.lease_term),
          wait_(db_.listen()),
          flusher_(db_.path) {}

    awaitable<Fence> acquire();
    awaitable<void> release();
    awaitable<std::vector<StoredMessage>> read(std::size_t max, std::size_t max_bytes);
    awaitable<void> settle(std::span<const Outcome> outcomes);
    awaitable<void> park(AggregateId aggregate_id, Sequence from, int attempts, Timestamp next_attempt,
                         std::string reason);
    awaitable<void> unpark(AggregateId aggregate_id);
    awaitable<void> mark_attempts(std::span<const Outcome> starting);
    bool may_send() const noexcept { return lease_.may_send(); }
    awaitable<bool> drained();
    void interrupt() { wait_.interrupt(); }

private:
    using Clock = std::chrono::steady_clock;

    awaitable<void> keep_lease();
    awaitable<ScanResult> scan(std::size_t max, std::size_t max_bytes);
    awaitable<std::vector<StoredMessage>> check_out(ScanResult found);
    awaitable<std::optional<Sequence>> put_aside(const ScanResult& found);
    awaitable<void> mend_times();
    awaitable<bool> sweep();
    std::chrono::milliseconds idle_time(const ScanResult& found) const;
    void note_settled(std::span<const Outcome> outcomes, bool is_written);
    void forget_given();

    /// Runs `work(Connection&)` in a transaction under the fence.
    template <class F>
    awaitable<std::invoke_result_t<F&, Connection&>> write(F work) {
        auto fenced = [self = shared_from_this(), work = std::move(work)](Connection& connection) mutable {
            self->wait_.own_write();
            self->lease_.check(connection);
            return work(connection);
        };
        return db_.writer().transact_quietly(std::move(fenced));
    }

    DatabaseImpl& db_;
    const FeedOptions options_;
    const FeedScan scan_;
    const FeedWrites writes_;
    Lease lease_;
    std::atomic<bool> is_renewing_{false};
    FeedWait wait_;
    WalFlusher flusher_;  // on the reader's thread

    std::mutex mutex_;  // for what follows; never held while anything is waited for
    CheckedOut given_;
    BlockedMeanwhile blocked_;
    Sequence cursor_ = 0;

    // Of the coroutine in read().
    std::optional<Sequence> sweep_position_;
    Clock::time_point next_sweep_{};
    std::chrono::milliseconds clock_offset_{};  // of the wall clock to the time since boot
};

awaitable<Fence> OutboxFeed::Impl::acquire() {
    auto check = [self = shared_from_this()](Connection& connection) {
        check_table(connection, self->db_.path, self->options_.table);
    };
    co_await db_.readers().run(std::move(check));
    for (;;) {
        if (wait_.was_interrupted())
            throw boost::system::system_error(boost::asio::error::operation_aborted);
        const std::optional<Fence> fence = co_await lease_.take();
        if (fence) {
            forget_given();
            next_sweep_ = {};
            sweep_position_.reset();
            clock_offset_ = std::chrono::milliseconds::max();
            co_return *fence;
        }
        // Each look takes the store's write lock: the commits of others, however many, are no reason for one.
        const Clock::time_point next = Clock::now() + takeover_check;
        while (!wait_.is_interrupted() && Clock::now() < next)
            co_await wait_.for_event(std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()));
    }
}

awaitable<void> OutboxFeed::Impl::release() {
    forget_given();
    co_await lease_.release();
}

void OutboxFeed::Impl::forget_given() {
    const std::lock_guard lock{mutex_};
    given_.clear();
    cursor_ = 0;
}

awaitable<void> OutboxFeed::Impl::keep_lease() {
    if (!lease_.is_held())
        throw FenceLostError("the lease of the outbox '" + options_.table + "' is not held: call acquire()");
    if (lease_.until_renewal() > std::chrono::milliseconds{0} || is_renewing_.exchange(true))
        co_return;
    std::exception_ptr failure;
    std::optional<Fence> fence;
    try {
        fence = co_await lease_.take();
    } catch (...) {
        failure = std::current_exception();
    }
    is_renewing_ = false;
    if (failure)
        std::rethrow_exception(failure);
    if (!fence)
        throw FenceLostError("another relay took the lease of the outbox '" + options_.table + "'");
}

awaitable<std::vector<StoredMessage>> OutboxFeed::Impl::read(std::size_t max, std::size_t max_bytes) {
    for (;;) {
        if (wait_.was_interrupted())
            co_return std::vector<StoredMessage>{};
        co_await keep_lease();
        co_await mend_times();
        // Nothing is awaited between noting what is given and giving it: were that to fail, it would be lost.
        bool deleted_some = false;
        if (Clock::now() >= next_sweep_)
            deleted_some = co_await sweep();
        ScanResult found = co_await scan(std::max<std::size_t>(1, max), max_bytes);
        const std::chrono::milliseconds patience = idle_time(found);
        if (found.found_anything()) {
            wait_.found();
            std::vector<StoredMessage> messages = co_await check_out(std::move(found));
            if (!messages.empty())
                co_return messages;
        } else if (deleted_some) {
            next_sweep_ = {};
        } else {
            co_await wait_.for_work(patience);
        }
    }
}

awaitable<ScanResult> OutboxFeed::Impl::scan(std::size_t max, std::size_t max_bytes) {
    ScanRequest request;
    {
        const std::lock_guard lock{mutex_};
        // With nothing on its way there is nothing that the cursor protects from being given twice; beginning anew costs
        // nothing and finds what was set back to pending by hand.
        if (given_.empty())
            cursor_ = 0;
        blocked_.begin_read();
        request.after = cursor_;
        request.lanes_out = given_.runs();
    }
    request.max = max;
    request.max_bytes = max_bytes;
    request.max_payload = options_.max_payload;
    auto work = [self = shared_from_this(), request = std::move(request)](Connection& connection) mutable {
        request.is_lane_out = [&impl = *self](std::string_view lane) {
            const std::lock_guard lock{impl.mutex_};
            return impl.given_.has_run(lane);
        };
        ScanResult result = self->scan_.run(connection, request);
        if (!result.pending.empty() || !result.of_lanes.empty()) {
            fault::point("feed.read");
            self->flusher_.flush();
        }
        return result;
    };
    co_return co_await db_.readers().run(std::move(work));
}

// Notes what is given, after what must not be given was put aside. A lane that was blocked after the snapshot was taken
// must not be given either: its messages are put aside, too.
awaitable<std::vector<StoredMessage>> OutboxFeed::Impl::check_out(ScanResult found) {
    bool has_aside = !found.to_park.empty() || !found.empty_lanes.empty();
    for (;;) {
        if (has_aside) {
            const std::optional<Sequence> first_free = co_await put_aside(found);
            std::erase_if(found.pending, [](const StoredMessage& m) { return m.state == MessageState::parked; });
            found.empty_lanes.clear();
            found.to_park.clear();
            // Its lane is not blocked any more, so it comes next: it and what follows it are read again.
            if (first_free) {
                std::erase_if(found.pending, [&](const StoredMessage& m) { return m.sequence >= *first_free; });
                found.scanned_to = *first_free - 1;
            }
        }
        const std::lock_guard lock{mutex_};
        for (StoredMessage& message : found.pending) {
            if (blocked_.contains(message.aggregate_id)) {
                message.state = MessageState::parked;
                found.to_park.push_back(message.sequence);
            }
        }
        has_aside = !found.to_park.empty();
        if (has_aside)
            continue;
        std::erase_if(found.of_lanes, [&](const StoredMessage& m) { return blocked_.contains(m.aggregate_id); });
        for (const StoredMessage& message : found.of_lanes)
            given_.give_run(message.sequence, message.aggregate_id);
        for (const StoredMessage& message : found.pending)
            given_.give(message.sequence, message.aggregate_id);
        cursor_ = found.scanned_to;
        break;
    }
    std::vector<StoredMessage> messages = std::move(found.of_lanes);
    if (messages.empty())
        co_return std::move(found.pending);
    messages.insert(messages.end(), std::make_move_iterator(found.pending.begin()),
                    std::make_move_iterator(found.pending.end()));
    co_return messages;
}

// Gives the first of `to_park` that stays pending, because its lane is not blocked any more.
awaitable<std::optional<Sequence>> OutboxFeed::Impl::put_aside(const ScanResult& found) {
    auto work = [self = shared_from_this(), to_park = found.to_park,
                 lanes = found.empty_lanes](Connection& connection) {
        self->writes_.end_lanes(connection, lanes);
        auto first_free = self->writes_.park_pending(connection, to_park);
        fault::point("feed.put_aside");
        return first_free;
    };
    co_return co_await write(std::move(work));
}

// When the wall clock was set back, or may have been while no relay ran, the times at which lanes are due are too far away.
awaitable<void> OutboxFeed::Impl::mend_times() {
    using std::chrono::milliseconds;
    constexpr milliseconds tolerated{1000};
    const milliseconds offset =
        std::chrono::floor<milliseconds>(now().time_since_epoch()) - milliseconds{boottime_ms()};
    if (offset >= clock_offset_ - tolerated && clock_offset_ != milliseconds::max()) {
        clock_offset_ = std::max(clock_offset_, offset);
        co_return;
    }
    auto work = [self = shared_from_this()](Connection& connection) { self->writes_.mend_times(connection); };
    co_await write(std::move(work));
    clock_offset_ = offset;
}

awaitable<bool> OutboxFeed::Impl::sweep() {
    next_sweep_ = Clock::now() + retention_interval;
    if (!options_.retention)
        co_return false;
    auto work = [self = shared_from_this(), after = sweep_position_.value_or(0),
                 cutoff = now() - *options_.retention](Connection& connection) {
        auto position = self->writes_.delete_dispatched(connection, after, cutoff);
        fault::point("feed.retention");
        return position;
    };
    sweep_position_ = co_await write(std::move(work));
    if (sweep_position_)
        next_sweep_ = Clock::now() + retention_step;
    co_return sweep_position_.has_value();
}

std::chrono::milliseconds OutboxFeed::Impl::idle_time(const ScanResult& found) const {
    using std::chrono::milliseconds;
    milliseconds patience = std::min(options_.poll_interval, lease_.until_renewal());
    if (found.next_due)
        patience = std::min(patience, std::chrono::ceil<milliseconds>(*found.next_due - now()));
    return std::max(patience, milliseconds{1});
}

awaitable<void> OutboxFeed::Impl::settle(std::span<const Outcome> outcomes) {
    co_await keep_lease();  // before, so that what fails has recorded nothing
    if (!outcomes.empty()) {
        Settlements settlements{outcomes};
        {
            const std::lock_guard lock{mutex_};
            for (const Outcome& outcome : settlements.held()) {
                blocked_.begin_block(outcome.aggregate_id);
                for (const Sequence sequence : given_.of_lane(outcome.aggregate_id, 0))
                    settlements.behind_held.push_back(sequence);
            }
        }
        auto work = [self = shared_from_this(), settlements = std::move(settlements)](Connection& connection) {
            fault::point("feed.settle");
            self->writes_.settle(connection, settlements);
        };
        std::exception_ptr failure;
        try {
            co_await write(std::move(work));
            fault::point("feed.settled");
        } catch (...) {
            failure = std::current_exception();
        }
        note_settled(outcomes, !failure);
        if (failure)
            std::rethrow_exception(failure);
    }
}

void OutboxFeed::Impl::note_settled(std::span<const Outcome> outcomes, bool is_written) {
    bool may_go_on = false;
    {
        const std::lock_guard lock{mutex_};
        for (const Outcome& outcome : outcomes) {
            const bool is_held = outcome.settlement == Settlement::held;
            if (is_held)
                blocked_.end_block(outcome.aggregate_id);
            if (is_written)
                may_go_on |= given_.settle(outcome.sequence, outcome.aggregate_id);
            if (is_written && is_held)
                given_.give_back(outcome.aggregate_id, 0);
        }
    }
    if (may_go_on)
        wait_.notify();  // nothing else tells a waiting read() that more of a lane may come
}

awaitable<void> OutboxFeed::Impl::park(AggregateId aggregate_id, Sequence from, int attempts, Timestamp next_attempt,
                                       std::string reason) {
    std::vector<Sequence> given;
    {
        const std::lock_guard lock{mutex_};
        blocked_.begin_block(aggregate_id);
        given = given_.of_lane(aggregate_id, from);
    }
    auto work = [self = shared_from_this(), aggregate_id, from, attempts, next_attempt, reason = std::move(reason),
                 given = std::move(given)](Connection& connection) {
        fault::point("feed.park");
        self->writes_.park(connection, aggregate_id, from, attempts, next_attempt, reason, given);
    };
    std::exception_ptr failure;
    try {
        co_await write(std::move(work));
        fault::point("feed.parked");
    } catch (...) {
        failure = std::current_exception();
    }
    {
        const std::lock_guard lock{mutex_};
        blocked_.end_block(aggregate_id);
        if (!failure)
            given_.give_back(aggregate_id, from);
    }
    if (failure)
        std::rethrow_exception(failure);
    wait_.notify();  // the wait of read() may have to end earlier now
}

awaitable<void> OutboxFeed::Impl::unpark(AggregateId aggregate_id) {
    auto work = [self = shared_from_this(), aggregate_id](Connection& connection) {
        fault::point("feed.unpark");
        self->writes_.unpark(connection, aggregate_id.str());
    };
    co_await write(std::move(work));
    wait_.notify();
}

awaitable<void> OutboxFeed::Impl::mark_attempts(std::span<const Outcome> starting) {
    co_await keep_lease();
    auto work = [self = shared_from_this(),
                 marks = std::vector<Outcome>(starting.begin(), starting.end())](Connection& connection) {
        fault::point("feed.mark_attempts");
        self->writes_.mark_attempts(connection, marks);
    };
    co_await write(std::move(work));
}

awaitable<bool> OutboxFeed::Impl::drained() {
    {
        const std::lock_guard lock{mutex_};
        if (!given_.empty())
            co_return false;
    }
    auto work = [self = shared_from_this()](Connection& connection) { return self->scan_.is_drained(connection); };
    co_return co_await db_.readers().run(std::move(work));
}

OutboxFeed::OutboxFeed(Database& db, FeedOptions options) : impl_(std::make_shared<Impl>(db, std::move(options))) {}

OutboxFeed::~OutboxFeed() = default;

awaitable<Fence> OutboxFeed::acquire() {
    return impl_->acquire();
}

awaitable<void> OutboxFeed::release() {
    return impl_->release();
}

awaitable<std::vector<StoredMessage>> OutboxFeed::read(std::size_t max, std::size_t max_bytes) {
    return impl_->read(max, max_bytes);
}

awaitable<void> OutboxFeed::settle(std::span<const Outcome> outcomes) {
    return impl_->settle(outcomes);
}

awaitable<void> OutboxFeed::park(AggregateId aggregate_id, Sequence from, int attempts, Timestamp next_attempt,
                                 std::string reason) {
    return impl_->park(std::move(aggregate_id), from, attempts, next_attempt, std::move(reason));
}

awaitable<void> OutboxFeed::unpark(AggregateId aggregate_id) {
    return impl_->unpark(std::move(aggregate_id));
}

awaitable<void> OutboxFeed::mark_attempts(std::span<const Outcome> starting) {
    return impl_->mark_attempts(starting);
}

bool OutboxFeed::may_send() const noexcept {
    return impl_->may_send();
}

awaitable<bool> OutboxFeed::drained() {
    return impl_->drained();
}

void OutboxFeed::interrupt() {
    impl_->interrupt();
}

}  // namespace txm::sqlite
