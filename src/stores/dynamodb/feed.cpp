#include "stores/dynamodb/feed_impl.hpp"

#include "core/fault_point.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/table_name.hpp"
#include "txm/error.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <utility>

namespace txm::dynamodb {

using namespace detail;

namespace {

// How often a relay that waits for the lease looks at it.
constexpr std::chrono::milliseconds takeover_check{200};

constexpr std::chrono::milliseconds end_of_read_check{10};

constexpr std::chrono::seconds positions_interval{1};

// How far the index and the stream may be behind the table.
constexpr std::chrono::milliseconds lag{1'000};

}  // namespace

OutboxFeed::Impl::Impl(Database& db, FeedOptions options)
    : db_(db.impl()),
      options_(std::move(options)),
      tables_{checked_table_name(options_.table), state_table_name(options_.table, options_.state_table),
              options_.compat, options_.max_payload},
      lease_(db_, tables_.state, tables_.outbox, options_.lease_term),
      writer_(db_, lease_, tables_.outbox),
      lanes_(db_, tables_),
      writes_(db_, tables_, writer_, lanes_, FeedElements{tables_, options_.retention}),
      index_(db_, tables_),
      stream_(db_, tables_, memory_, options_) {}

awaitable<Fence> OutboxFeed::Impl::acquire() {
    for (;;) {
        if (wait_.was_interrupted())
            throw boost::system::system_error(boost::asio::error::operation_aborted);
        if (is_reading_) {  // still, for an owner that has given up waiting for it
            co_await pause(end_of_read_check);
            continue;
        }
        // It may be ours since a call that failed afterwards.
        if (!lease_.is_held())
            taken_.reset();
        if (taken_)
            co_await writer_.keep_lease();
        else
            taken_ = co_await lease_.try_take();
        if (taken_) {
            forget();
            is_tail_ = false;
            if (options_.kind == FeedKind::poll)
                co_await stream_.stream_of_table();  // a table with replicas is refused
            else
                is_tail_ = co_await stream_.open();
            must_walk_all_ = stream_.is_renewed();
            if (!is_tail_ && options_.kind == FeedKind::tail)
                throw Error(Errc::invalid_configuration,
                            "the outbox '" + tables_.outbox +
                                "' has no stream: enable one with new and old images, or use the feed `poll`");
            co_return *std::exchange(taken_, {});
        }
        co_await wait_.wait_for(takeover_check);
    }
}

awaitable<void> OutboxFeed::Impl::release() {
    if (lease_.is_held() && is_tail_)
        co_await save_positions(true);
    // What is known is forgotten by the next acquire(): a read() may be under way, for an owner that has given up waiting for it.
    co_await lease_.release();
}

void OutboxFeed::Impl::forget() {
    memory_.clear();
    stream_.close();
    index_.restart();
    pool_.clear();
    pool_bytes_ = 0;
    walk_at_ = Clock::now();
    stream_at_ = walked_at_ = {};
    look_at_lanes_at_ = {};
    must_walk_all_ = is_walking_all_ = false;
    next_due_.reset();
    lanes_changed_ = true;
}

FeedWrites::Written OutboxFeed::Impl::note_done() {
    return [self = shared_from_this()](const GivenMessage& message) {
        if (!self->memory_.done(message))
            return;
        self->lanes_changed_ = true;
        self->wait_.notify();  // nothing else tells a waiting read() that more of a lane may come
    };
}

awaitable<void> OutboxFeed::Impl::settle(std::span<const Outcome> outcomes) {
    co_await writer_.keep_lease();  // before, so that what fails has recorded nothing
    if (outcomes.empty())
        co_return;
    std::vector<GivenMessage> dispatched;
    std::vector<FeedWrites::Settled> dead, held;
    std::vector<Outcome> late;
    for (const Outcome& outcome : outcomes) {
        std::optional<GivenMessage> given = memory_.find(outcome.aggregate_id, outcome.message_id);
        if (!given)
            late.push_back(outcome);
        else if (outcome.settlement == Settlement::dispatched)
            dispatched.push_back(std::move(*given));
        else
            (outcome.settlement == Settlement::dead ? dead : held).emplace_back(std::move(*given), outcome);
    }
    fault::point("dynamodb_feed.settle");
    const FeedWrites::Written done = note_done();
    co_await writes_.dispatched(std::move(dispatched), done);
    if (!late.empty()) {
        std::vector<GivenMessage> acknowledged = co_await find_late(std::move(late));
        co_await writes_.dispatched_anyway(std::move(acknowledged), done);
    }
    for (FeedWrites::Settled& letter : dead)
        co_await writes_.dead(std::move(letter), done);
    for (FeedWrites::Settled& letter : held)
        co_await hold(std::move(letter));
    if (is_tail_)
        co_await save_positions(false);
}

// Of what is the feed's again, or was recorded by a call that failed afterwards: the acknowledged ones that are not
// recorded yet. A late decision against a message that is the feed's again counts for nothing: it comes again.
awaitable<std::vector<GivenMessage>> OutboxFeed::Impl::find_late(std::vector<Outcome> outcomes) {
    std::vector<std::string> keys;
    keys.reserve(outcomes.size());
    for (const Outcome& outcome : outcomes)
        keys.push_back(key_of(outcome.message_id));
    const std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(keys));
    std::vector<GivenMessage> acknowledged;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (outcomes[i].settlement == Settlement::dispatched && rows[i].state != RowState::settled)
            acknowledged.emplace_back(rows[i].candidate);
    }
    co_return acknowledged;
}

awaitable<void> OutboxFeed::Impl::hold(FeedWrites::Settled letter) {
    const AggregateId lane = letter.second.aggregate_id;
    const GivenMessage held = letter.first;
    std::vector<GivenMessage> behind = memory_.begin_block(lane);
    std::erase_if(behind, [&](const GivenMessage& message) { return message.message_id == held.message_id; });
    const FeedWrites::Written done = note_done();
    // Not done before those behind it are given back: a call that fails in between is made again, and must find it.
    const FeedWrites::Written not_yet = [](const GivenMessage&) {};
    std::exception_ptr failure;
    try {
        co_await writes_.held(std::move(letter), not_yet);
        std::vector<GivenMessage> to_park;
        for (GivenMessage& message : behind) {
            if (message.is_parked)
                done(message);  // it is a member of the lane already
            else
                to_park.push_back(std::move(message));
        }
        const std::vector<GivenMessage> free = co_await writes_.park_in_blocked(std::move(to_park), done);
        for (const GivenMessage& message : free)
            memory_.take_back(message);
        done(held);
    } catch (...) {
        failure = std::current_exception();
    }
    memory_.end_block(lane);
    if (failure)
        std::rethrow_exception(failure);
    lanes_changed_ = true;
    wait_.notify();
}

awaitable<void> OutboxFeed::Impl::park(AggregateId aggregate_id, Sequence from, int attempts, Timestamp next_attempt,
                                       std::string reason) {
    co_await writer_.keep_lease();
    LaneChange change;
    change.next_attempt = next_attempt;
    change.from = from;
    change.attempts = attempts;
    change.reason = std::move(reason);
    std::vector<GivenMessage> given = memory_.begin_block(aggregate_id), members;
    // What came of the lane's members goes back with the rest, also what was acknowledged before `from`.
    for (auto message = given.begin(); message != given.end();) {
        if (message->sequence >= from) {
            ++message;
            continue;
        }
        if (message->is_parked)
            members.push_back(*message);
        message = given.erase(message);
    }
    const FeedWrites::Written done = note_done();
    fault::point("dynamodb_feed.park");
    std::exception_ptr failure;
    try {
        co_await writes_.park(aggregate_id, std::move(change), std::move(given), done);
    } catch (...) {
        failure = std::current_exception();
    }
    memory_.end_block(aggregate_id);
    if (failure)
        std::rethrow_exception(failure);
    fault::point("dynamodb_feed.parked");
    for (const GivenMessage& message : members)
        done(message);
    lanes_changed_ = true;
    wait_.notify();  // the wait of read() may have to end earlier now
}

awaitable<void> OutboxFeed::Impl::unpark(AggregateId aggregate_id) {
    co_await writer_.keep_lease();
    fault::point("dynamodb_feed.unpark");
    co_await writes_.unpark(std::move(aggregate_id));
    lanes_changed_ = true;
    wait_.notify();
}

awaitable<void> OutboxFeed::Impl::mark_attempts(std::span<const Outcome> starting) {
    co_await writer_.keep_lease();
    fault::point("dynamodb_feed.mark_attempts");
    std::vector<Outcome> marks(starting.begin(), starting.end());
    co_await writes_.mark_attempts(marks);
    for (const Outcome& outcome : marks)
        memory_.set_attempts(outcome);
}

// How far the stream is done with: recorded now and then.
awaitable<void> OutboxFeed::Impl::save_positions(bool all) {
    const Clock::rep time = Clock::now().time_since_epoch().count();
    if (!all && time < save_positions_at_)
        co_return;
    save_positions_at_ = (Clock::now() + positions_interval).time_since_epoch().count();
    for (;;) {
        std::vector<std::string> elements = stream_.take_positions(FencedWriter::max_elements);
        if (elements.empty())
            co_return;
        std::exception_ptr failure;
        try {
            co_await writes_.plain(std::move(elements));
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            stream_.positions_failed();
            std::rethrow_exception(failure);
        }
    }
}

awaitable<bool> OutboxFeed::Impl::drained() {
    const bool first = co_await looks_drained();
    if (!first)
        co_return false;
    // The index is behind the table, and the stream that read() looks at meanwhile is, too; by much less than a second as a
    // rule. What was committed just now may not be in them yet.
    const Clock::time_point end =
        Clock::now() + std::clamp<std::chrono::milliseconds>(options_.poll_interval, lag, 5 * lag);
    while (Clock::now() < end) {
        if (!memory_.is_idle())
            co_return false;
        co_await pause(std::min(lag / 20, options_.poll_interval));
    }
    co_return co_await looks_drained();
}

awaitable<bool> OutboxFeed::Impl::looks_drained() {
    if (!memory_.is_idle())
        co_return false;
    // A lane whose members are all settled ends when it is read next; it keeps nothing waiting.
    constexpr std::size_t lanes_at_once = 1000;
    const DueLanes waiting = co_await lanes_.due(Timestamp::max(), lanes_at_once);
    for (const DueLane& lane : waiting.lanes) {
        const std::vector<ParkedMember> members = co_await lanes_.members(lane.aggregate_id, 1);
        if (!members.empty())
            co_return false;
    }
    FeedIndex pages{db_, tables_};
    do {
        std::vector<std::string> keys = co_await pages.next_page(std::chrono::milliseconds{0}, 100);
        const std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(keys));
        for (const FeedRow& row : rows) {
            if (row.state == RowState::pending)
                co_return false;
        }
    } while (!pages.is_at_start());
    co_return memory_.is_idle();
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

}  // namespace txm::dynamodb
