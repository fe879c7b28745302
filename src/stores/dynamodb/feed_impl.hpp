#pragma once

#include "stores/dynamodb/feed_index.hpp"
#include "stores/dynamodb/feed_memory.hpp"
#include "stores/dynamodb/feed_wait.hpp"
#include "stores/dynamodb/feed_writes.hpp"
#include "stores/dynamodb/stream_reader.hpp"
#include "txm/dynamodb_feed.hpp"

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace txm::dynamodb {

/// read() does all the work of finding messages, on the caller's executor: it hears of them from the stream and the index,
/// looks at what it is not sure of, puts aside what belongs to blocked lanes, brings aggregates into order, and gives.
/// What it has found and not given stays here when it throws, and is looked at by the next call.
class OutboxFeed::Impl : public std::enable_shared_from_this<OutboxFeed::Impl> {
public:
    Impl(Database& db, FeedOptions options);

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
    using Runs = std::vector<std::vector<detail::Candidate>>;

    // The first members of a blocked lane.
    struct LaneRun {
        std::vector<detail::Candidate> run{};
        std::vector<detail::FeedWrites::SettledMember> settled{};
        std::vector<detail::Candidate> predecessors{};  // which are no members, and should be
        bool is_empty = false;
    };

    // What read() does.
    awaitable<std::exception_ptr> gather();
    awaitable<std::exception_ptr> read_stream();
    awaitable<void> walk_index();
    void hear(detail::Candidate candidate);
    void must_walk_all();
    awaitable<bool> sort_out();
    awaitable<bool> look_at_rows();
    awaitable<void> put_aside();
    awaitable<bool> look_at_predecessors();
    void let_payloads_go();
    void let_go_what_waits();
    bool has_room() const;
    std::size_t rows_that_fit() const;
    awaitable<Runs> read_runs(std::size_t max);
    awaitable<void> read_run(detail::DueLane lane, std::size_t limit, LaneRun& result);
    Clock::duration idle_time() const;

    // What settle() does.
    awaitable<void> hold(detail::FeedWrites::Settled letter);
    awaitable<std::vector<detail::GivenMessage>> find_late(std::vector<Outcome> outcomes);
    detail::FeedWrites::Written note_done();

    awaitable<bool> looks_drained();
    awaitable<void> save_positions(bool all);
    void forget();

    detail::DatabaseImpl& db_;
    const FeedOptions options_;
    const detail::FeedTables tables_;
    detail::Lease lease_;
    detail::FencedWriter writer_;
    std::optional<Fence> taken_;  // by an acquire() that is not over, or failed afterwards
    detail::FeedLanes lanes_;
    detail::FeedWrites writes_;
    detail::FeedMemory memory_;
    detail::FeedWait wait_;
    detail::FeedIndex index_;
    detail::StreamReader stream_;

    // Of the coroutine in read().
    std::atomic<bool> is_reading_{false};
    std::vector<detail::Candidate> pool_;  // heard of, and not ready
    std::size_t pool_bytes_ = 0;           // of payload in it, or more
    std::size_t row_bytes_ = 1;            // of payload, as those had it that were read last
    bool is_tail_ = false;
    Clock::time_point stream_at_{};  // not before: it was not available
    Clock::time_point walk_at_{}, walked_at_{};
    bool must_walk_all_ = false;   // the next walk: not only what is too old to come from the stream
    bool is_walking_all_ = false;  // the one that has begun
    std::optional<Timestamp> next_due_;
    Clock::time_point look_at_lanes_at_{};

    std::atomic<bool> lanes_changed_{true};
    std::atomic<Clock::rep> save_positions_at_{0};
};

}  // namespace txm::dynamodb
