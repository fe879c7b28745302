#include "stores/dynamodb/feed_memory.hpp"

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>

namespace txm::dynamodb::detail {

using Lock = std::lock_guard<std::mutex>;

bool FeedMemory::open(const Uuid& message_id) {
    const Lock lock{mutex_};
    return open_.emplace(message_id, Stage::found).second;
}

bool FeedMemory::is_open(const Uuid& message_id) const {
    const Lock lock{mutex_};
    return open_.contains(message_id);
}

void FeedMemory::close(const Uuid& message_id) {
    const Lock lock{mutex_};
    open_.erase(message_id);
}

std::vector<Candidate> FeedMemory::begin_read() {
    const Lock lock{mutex_};
    std::vector<Candidate> again = std::exchange(returned_, {});
    std::erase_if(ready_, [&](Candidate& candidate) {
        if (!blocked_.contains(candidate.message.aggregate_id))
            return false;
        open_[candidate.message.message_id] = Stage::found;
        ready_bytes_ -= candidate.message.payload.size();
        again.push_back(std::move(candidate));
        return true;
    });
    blocked_.begin_read();
    return again;
}

bool FeedMemory::make_ready(std::vector<Candidate>& candidates) {
    Chain::sort(candidates);
    std::unordered_set<Uuid> due;
    const Lock lock{mutex_};
    const auto is_next = [&](const Candidate& candidate) {
        if (chain_.is_next(candidate) || (candidate.is_checked && chain_.is_past(candidate)))
            return true;
        const auto previous = open_.find(candidate.previous);
        return previous != open_.end() && previous->second == Stage::passed;
    };
    std::erase_if(candidates, [&](Candidate& candidate) {
        const StoredMessage& message = candidate.message;
        candidate.is_due = false;
        if (!candidate.is_read || blocked_.contains(message.aggregate_id))
            return false;
        const bool is_turn = is_next(candidate);
        if (candidate.is_light && (is_turn || due.contains(candidate.previous))) {
            candidate.is_due = true;
            due.insert(message.message_id);
        }
        if (candidate.is_light || !is_turn)
            return false;
        chain_.passed(message.aggregate_id, message.sequence);
        open_[message.message_id] = Stage::passed;
        ready_bytes_ += message.payload.size();
        ready_.push_back(std::move(candidate));
        return true;
    });
    return !due.empty();
}

std::size_t FeedMemory::ready() const {
    const Lock lock{mutex_};
    return ready_.size();
}

std::size_t FeedMemory::ready_bytes() const {
    const Lock lock{mutex_};
    return ready_bytes_;
}

bool FeedMemory::is_past(const Candidate& candidate) {
    const Lock lock{mutex_};
    return chain_.is_past(candidate);
}

void FeedMemory::note_next(const Candidate& candidate) {
    const Lock lock{mutex_};
    chain_.passed(candidate.message.aggregate_id, candidate.message.sequence - 1);
}

std::vector<StoredMessage> FeedMemory::give(std::vector<std::vector<Candidate>> runs, std::size_t max,
                                            std::size_t max_bytes) {
    std::vector<StoredMessage> messages;
    std::size_t bytes = 0;
    // The first one always fits, however large.
    const auto fits = [&](const Candidate& candidate) {
        return messages.size() < max && (messages.empty() || bytes + candidate.message.payload.size() <= max_bytes);
    };
    const auto take = [&](Candidate& candidate) {
        bytes += candidate.message.payload.size();
        given_.give(GivenMessage{candidate});
        messages.push_back(std::move(candidate.message));
    };
    const Lock lock{mutex_};
    for (std::vector<Candidate>& run : runs) {
        if (run.empty() || blocked_.contains(run.front().message.aggregate_id))
            continue;
        for (Candidate& candidate : run) {
            if (!fits(candidate))
                break;
            open_[candidate.message.message_id] = Stage::passed;
            chain_.passed(candidate.message.aggregate_id, candidate.message.sequence);
            take(candidate);
        }
    }
    std::deque<Candidate> kept;
    while (!ready_.empty() && fits(ready_.front())) {
        if (blocked_.contains(ready_.front().message.aggregate_id)) {
            kept.push_back(std::move(ready_.front()));
        } else {
            ready_bytes_ -= ready_.front().message.payload.size();
            take(ready_.front());
        }
        ready_.pop_front();
    }
    ready_.insert(ready_.begin(), std::make_move_iterator(kept.begin()), std::make_move_iterator(kept.end()));
    return messages;
}

bool FeedMemory::has_run(const AggregateId& aggregate_id) const {
    const Lock lock{mutex_};
    return given_.has_run(aggregate_id.str());
}

std::size_t FeedMemory::runs() const {
    const Lock lock{mutex_};
    return given_.runs();
}

std::optional<GivenMessage> FeedMemory::find(const AggregateId& aggregate_id, const Uuid& message_id) const {
    const Lock lock{mutex_};
    return given_.find(aggregate_id, message_id);
}

void FeedMemory::set_attempts(const Outcome& outcome) {
    const Lock lock{mutex_};
    given_.set_attempts(outcome.aggregate_id, outcome.message_id, outcome.attempts);
}

std::vector<GivenMessage> FeedMemory::begin_block(const AggregateId& aggregate_id) {
    const Lock lock{mutex_};
    blocked_.begin_block(aggregate_id);
    // What is forgotten is asked for, so that nothing overtakes what will be parked.
    chain_.forget(aggregate_id);
    return given_.of_lane(aggregate_id, 0);
}

void FeedMemory::end_block(const AggregateId& aggregate_id) {
    const Lock lock{mutex_};
    blocked_.end_block(aggregate_id);
}

bool FeedMemory::is_being_blocked(const AggregateId& aggregate_id) const {
    const Lock lock{mutex_};
    return blocked_.contains(aggregate_id);
}

bool FeedMemory::done(const GivenMessage& message) {
    const Lock lock{mutex_};
    open_.erase(message.message_id);
    return given_.remove(message.aggregate_id, message.message_id);
}

void FeedMemory::take_back(const GivenMessage& message) {
    const Lock lock{mutex_};
    given_.remove(message.aggregate_id, message.message_id);
    open_[message.message_id] = Stage::found;
    returned_.push_back(candidate_of(message.row_key));
}

bool FeedMemory::is_idle() const {
    const Lock lock{mutex_};
    return given_.empty() && open_.empty();
}

void FeedMemory::clear() {
    const Lock lock{mutex_};
    open_.clear();
    ready_.clear();
    ready_bytes_ = 0;
    returned_.clear();
    given_.clear();
    chain_.clear();
}

}  // namespace txm::dynamodb::detail
