#pragma once

#include "txm/error.hpp"
#include "txm/feed.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace txm::testing {

/// An outbox in memory with the rules of OutboxFeed, and ways to make it fail. For one thread.
class FakeFeed final : public OutboxFeed {
public:
    struct Row {
        StoredMessage message;
        bool is_out = false;
        std::string reason{};
    };
    struct BlockedLane {
        Timestamp next_attempt{};
        bool is_held = false;
        int run = 0;  ///< of its parked messages, how many are out
    };

    /// Commits a message and returns its sequence.
    Sequence add(const std::string& aggregate, const std::string& payload = "x", const std::string& topic = "t") {
        StoredMessage m;
        m.message_id = new_uuid();
        m.aggregate_id = aggregate;
        m.correlation_id = m.message_id;
        m.topic = topic;
        m.payload = payload;
        m.created_at = m.stored_at = now();
        m.sequence = static_cast<Sequence>(rows_.size()) + 1;
        by_lane_[aggregate].push_back(rows_.size());
        rows_.push_back(Row{std::move(m)});
        notify();
        return static_cast<Sequence>(rows_.size());
    }

    Row& row(Sequence sequence) { return rows_.at(static_cast<std::size_t>(sequence - 1)); }
    const std::map<std::string, BlockedLane>& blocked() const { return blocked_; }
    std::size_t count(MessageState state) const {
        return static_cast<std::size_t>(
            std::count_if(rows_.begin(), rows_.end(), [&](const Row& row) { return row.message.state == state; }));
    }
    std::size_t most_out() const { return most_out_; }

    /// The next calls of that name ("read", "settle", "park", "mark_attempts", "acquire") fail, once each.
    void fail_next(const std::string& call, std::exception_ptr error, int times = 1) {
        for (int i = 0; i < times; ++i)
            failures_[call].push_back(error);
    }

    /// Another owner takes the lease: all calls throw FenceLostError until acquire().
    void lose_lease() {
        has_lease_ = false;
        notify();
    }

    /// Called at the start of every settle(), before anything is recorded.
    std::function<void(std::span<const Outcome>)> on_settle{};
    /// Called by mark_attempts(); while it gives true the call waits.
    std::function<bool(std::span<const Outcome>)> on_mark{};
    bool is_in_doubt = false;  ///< whether the lease may soon be another's
    bool clean_start = true;
    int acquired = 0, released = 0, settles = 0;
    std::vector<Sequence> marked{};

    /// What an operator does: the message is tried again at once.
    void replay(Sequence sequence) {
        Row& dead = row(sequence);
        dead.message.state = MessageState::parked;
        dead.message.attempts = 0;
        auto& lane = by_lane_[dead.message.aggregate_id.str()];
        lane.insert(std::lower_bound(lane.begin(), lane.end(), static_cast<std::size_t>(sequence - 1)),
                    static_cast<std::size_t>(sequence - 1));
        blocked_[dead.message.aggregate_id.str()] = BlockedLane{};
        notify();
    }

    awaitable<Fence> acquire() override {
        throw_if_told("acquire");
        if (std::exchange(interrupted_, false))
            throw boost::system::system_error(boost::asio::error::operation_aborted);
        ++acquired;
        has_lease_ = true;
        first_pending_ = out_ = 0;
        for (Row& row : rows_)
            row.is_out = false;
        for (auto& [name, lane] : blocked_)
            lane.run = 0;
        co_return Fence{acquired, clean_start};
    }

    awaitable<void> release() override {
        ++released;
        has_lease_ = false;
        co_return;
    }

    awaitable<std::vector<StoredMessage>> read(std::size_t max, std::size_t max_bytes) override {
        boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor};
        for (;;) {
            std::vector<StoredMessage> messages;
            throw_if_told("read");
            check_lease();
            if (std::exchange(interrupted_, false))
                co_return messages;
            collect(messages, max, max_bytes);
            if (!messages.empty())
                co_return messages;
            timer.expires_at(next_due());
            waiting_ = &timer;
            boost::system::error_code ignored;
            co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
            waiting_ = nullptr;
        }
    }

    awaitable<void> settle(std::span<const Outcome> outcomes) override {
        if (on_settle)
            on_settle(outcomes);
        throw_if_told("settle");
        check_lease();
        ++settles;
        for (const Outcome& outcome : outcomes)
            record(outcome);
        co_return;
    }

    awaitable<void> park(AggregateId aggregate_id, Sequence from, int attempts, Timestamp next_attempt,
                         std::string reason) override {
        throw_if_told("park");
        check_lease();
        row(from).message.attempts = attempts;
        row(from).reason = std::move(reason);
        blocked_[aggregate_id.str()] = BlockedLane{next_attempt};
        give_back(aggregate_id.str());
        notify();
        co_return;
    }

    awaitable<void> unpark(AggregateId aggregate_id) override {
        check_lease();
        if (const auto lane = blocked_.find(aggregate_id.str()); lane != blocked_.end())
            lane->second = BlockedLane{};
        notify();
        co_return;
    }

    awaitable<void> mark_attempts(std::span<const Outcome> starting) override {
        throw_if_told("mark_attempts");
        check_lease();
        while (on_mark && on_mark(starting)) {
            boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor, std::chrono::milliseconds{1}};
            co_await timer.async_wait(boost::asio::use_awaitable);
        }
        for (const Outcome& outcome : starting) {
            row(outcome.sequence).message.attempts = outcome.attempts;
            marked.push_back(outcome.sequence);
        }
        co_return;
    }

    awaitable<bool> drained() override {
        check_lease();
        const bool all_held =
            std::all_of(blocked_.begin(), blocked_.end(), [](const auto& entry) { return entry.second.is_held; });
        co_return all_held&& out_ == 0 && count(MessageState::pending) == 0;
    }

    bool may_send() const noexcept override { return !is_in_doubt; }

    void interrupt() override {
        interrupted_ = true;
        notify();
    }

private:
    void notify() {
        if (waiting_)
            waiting_->cancel();
    }

    void check_lease() const {
        if (!has_lease_)
            throw FenceLostError("the test took the lease");
    }

    void throw_if_told(const std::string& call) {
        auto& errors = failures_[call];
        if (errors.empty())
            return;
        const std::exception_ptr error = errors.front();
        errors.pop_front();
        std::rethrow_exception(error);
    }

    std::chrono::steady_clock::time_point next_due() const {
        auto due = std::chrono::steady_clock::now() + std::chrono::hours{1};
        for (const auto& [name, lane] : blocked_) {
            if (!lane.is_held && lane.run == 0)
                due = std::min(due, std::chrono::steady_clock::now() + std::chrono::microseconds{500} +
                                        std::max(lane.next_attempt - now(), std::chrono::microseconds{0}));
        }
        return due;
    }

    void give(Row& row, std::vector<StoredMessage>& messages) {
        row.is_out = true;
        most_out_ = std::max(most_out_, ++out_);
        messages.push_back(row.message);
    }

    void collect(std::vector<StoredMessage>& messages, std::size_t max, std::size_t max_bytes) {
        std::size_t bytes = 0;
        const auto has_room = [&] { return messages.size() < max && (messages.empty() || bytes < max_bytes); };
        for (auto& [name, lane] : blocked_) {
            if (lane.is_held || lane.run > 0 || lane.next_attempt > now())
                continue;
            for (const std::size_t index : by_lane_[name]) {
                if (!has_room() || lane.run == 3)
                    break;
                if (rows_[index].message.state != MessageState::parked)
                    continue;
                ++lane.run;
                bytes += rows_[index].message.payload.size();
                give(rows_[index], messages);
            }
        }
        for (; first_pending_ < rows_.size(); ++first_pending_) {
            Row& row = rows_[first_pending_];
            if (row.message.state == MessageState::pending && !row.is_out)
                break;
        }
        for (std::size_t i = first_pending_; i < rows_.size() && has_room(); ++i) {
            Row& row = rows_[i];
            if (row.message.state != MessageState::pending || row.is_out)
                continue;
            if (blocked_.contains(row.message.aggregate_id.str())) {
                row.message.state = MessageState::parked;
                continue;
            }
            bytes += row.message.payload.size();
            give(row, messages);
        }
    }

    void give_back(const std::string& aggregate) {
        first_pending_ = 0;
        for (const std::size_t index : by_lane_[aggregate]) {
            Row& row = rows_[index];
            if (std::exchange(row.is_out, false))
                --out_;
            row.message.state = MessageState::parked;
        }
    }

    void record(const Outcome& outcome) {
        Row& done = row(outcome.sequence);
        const std::string aggregate = done.message.aggregate_id.str();
        if (std::exchange(done.is_out, false))
            --out_;
        const bool was_parked = done.message.state == MessageState::parked;
        done.message.state =
            outcome.settlement == Settlement::dispatched ? MessageState::dispatched : MessageState::dead;
        done.message.attempts = outcome.attempts;
        done.reason = outcome.reason;
        if (outcome.settlement == Settlement::dispatched)
            ++done.message.approximate_dispatch_count;
        auto& lane_rows = by_lane_[aggregate];
        std::erase(lane_rows, static_cast<std::size_t>(outcome.sequence - 1));
        if (outcome.settlement == Settlement::held) {
            blocked_[aggregate] = BlockedLane{{}, true};
            give_back(aggregate);
        } else if (const auto lane = blocked_.find(aggregate); lane != blocked_.end()) {
            if (was_parked && lane->second.run > 0)
                --lane->second.run;
            const bool any_left = std::any_of(lane_rows.begin(), lane_rows.end(), [&](std::size_t index) {
                return rows_[index].message.state == MessageState::parked;
            });
            if (!any_left)
                blocked_.erase(lane);
        }
        notify();
    }

    std::deque<Row> rows_;
    std::map<std::string, std::vector<std::size_t>> by_lane_;  // of each aggregate, what is not done
    std::map<std::string, BlockedLane> blocked_;
    std::map<std::string, std::deque<std::exception_ptr>> failures_;
    std::size_t first_pending_ = 0, out_ = 0, most_out_ = 0;
    boost::asio::steady_timer* waiting_ = nullptr;
    bool interrupted_ = false;
    bool has_lease_ = false;
};

}  // namespace txm::testing
