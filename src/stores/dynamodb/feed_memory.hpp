#pragma once

#include "stores/dynamodb/feed_candidate.hpp"
#include "stores/dynamodb/feed_chain.hpp"
#include "stores/dynamodb/feed_given.hpp"
#include "txm/feed.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace txm::dynamodb::detail {

/// What a feed knows of messages between the moment when it hears of them and the moment when they are settled or parked.
/// *Thread safety*: every member function locks; nothing is waited for under the lock.
class FeedMemory {
public:
    /// A message was heard of. Gives it when it is not known yet; then it is open until close().
    bool open(const Uuid& message_id);
    bool is_open(const Uuid& message_id) const;
    void close(const Uuid& message_id);

    /// Before the table is asked which lanes are blocked: what was ready of those that became so since the last time, and what
    /// was given and came back without being parked.
    std::vector<Candidate> begin_read();

    /// Moves candidates whose predecessors are given, or known to be settled, to what is ready. Keeps the others. Of light ones
    /// says which rows must be read first, and of what comes behind them, too; true when there are any.
    bool make_ready(std::vector<Candidate>& candidates);
    std::size_t ready() const;
    std::size_t ready_bytes() const;
    bool is_past(const Candidate& candidate);
    /// It is known now that nothing that waits to be sent comes before it.
    void note_next(const Candidate& candidate);

    /// Checks messages out: of runs of blocked lanes, then of what is ready.
    std::vector<StoredMessage> give(std::vector<std::vector<Candidate>> runs, std::size_t max, std::size_t max_bytes);

    bool has_run(const AggregateId& aggregate_id) const;
    std::size_t runs() const;
    std::optional<GivenMessage> find(const AggregateId& aggregate_id, const Uuid& message_id) const;
    void set_attempts(const Outcome& outcome);

    /// The lane is about to be blocked: nothing of it is given any more. Gives what is out of it.
    std::vector<GivenMessage> begin_block(const AggregateId& aggregate_id);
    void end_block(const AggregateId& aggregate_id);
    bool is_being_blocked(const AggregateId& aggregate_id) const;

    /// It is settled, or a member of its blocked lane. True when it was the last of a run: more of its lane may be read.
    bool done(const GivenMessage& message);
    /// It is the feed's again, and not parked: it is looked at anew.
    void take_back(const GivenMessage& message);

    /// Nothing is out, and nothing was found that will be.
    bool is_idle() const;
    void clear();

private:
    enum class Stage : std::uint8_t { found, passed };

    mutable std::mutex mutex_;
    std::unordered_map<Uuid, Stage> open_;
    std::deque<Candidate> ready_;
    std::size_t ready_bytes_ = 0;  // of payload
    std::vector<Candidate> returned_;
    Given given_;
    BlockedMeanwhile blocked_;
    Chain chain_;
};

}  // namespace txm::dynamodb::detail
