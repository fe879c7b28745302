#include "consumer/lanes.hpp"

#include <algorithm>
#include <iterator>

namespace txm::detail {

std::string Lanes::key_of(const StoredMessage& message) {
    // The length keeps ("a", "b/c") and ("a/b", "c") apart without a separator that a topic could hold.
    std::string key = std::to_string(message.topic.size());
    key.reserve(key.size() + 1 + message.topic.size() + message.aggregate_id.str().size());
    key += ':';
    key += message.topic;
    key += message.aggregate_id.str();
    return key;
}

bool Lanes::has_broker_entries(const std::string& key) const {
    const auto found = lanes_.find(key);
    if (found == lanes_.end())
        return false;
    const auto& queue = found->second.queue_;
    // An empty lane that exists has a worker that is parking what it took.
    return queue.empty() || std::any_of(queue.begin(), queue.end(),
                                        [](const EntryPtr& entry) { return entry->origin == Origin::broker; });
}

void Lanes::add(std::string key, EntryPtr entry) {
    auto [place, is_new] = lanes_.try_emplace(std::move(key));
    Lane& lane = place->second;
    lane.queue_.push_back(std::move(entry));
    if (is_new) {
        lane.key_ = &place->first;
        ready_.push_back(&lane);
    } else if (lane.state_ == Lane::State::waiting) {
        ++blocked_;
    }
}

Lanes::Lane* Lanes::start() {
    if (ready_.empty())
        return nullptr;
    Lane* lane = ready_.front();
    ready_.pop_front();
    lane->state_ = Lane::State::running;
    return lane;
}

EntryPtr Lanes::settle(Lane& lane) {
    EntryPtr done = std::move(lane.queue_.front());
    lane.queue_.erase(lane.queue_.begin());
    lane.blocked_since_.reset();
    if (lane.queue_.empty())
        close(lane);
    else
        make_ready(lane);
    return done;
}

void Lanes::wait(Lane& lane, Time now, Time retry_at) {
    if (!lane.blocked_since_)
        lane.blocked_since_ = now;
    lane.state_ = Lane::State::waiting;
    lane.retry_at_ = retry_at;
    blocked_ += lane.queue_.size();
    waiting_.emplace(retry_at, &lane);
}

void Lanes::again(Lane& lane) {
    make_ready(lane);
}

std::vector<EntryPtr> Lanes::take(Lane& lane) {
    return std::exchange(lane.queue_, {});
}

void Lanes::close(Lane& lane) {
    lanes_.erase(lanes_.find(*lane.key_));
}

void Lanes::wake(Time now) {
    while (!waiting_.empty() && waiting_.begin()->first <= now) {
        Lane& lane = *waiting_.begin()->second;
        stop_waiting(lane);
        make_ready(lane);
    }
}

void Lanes::make_room() {
    while (blocked_ > window_ / 2) {
        // The one that holds most, so that few have to leave; of equals the one that waits longest.
        const auto largest = std::max_element(waiting_.begin(), waiting_.end(), [](const auto& a, const auto& b) {
            return std::pair(a.second->queue_.size(), a.first) < std::pair(b.second->queue_.size(), b.first);
        });
        Lane& lane = *largest->second;
        stop_waiting(lane);
        lane.queue_.front()->must_park = true;
        make_ready(lane);
    }
}

std::optional<Lanes::Time> Lanes::next_retry() const {
    if (waiting_.empty())
        return {};
    return waiting_.begin()->first;
}

std::vector<EntryPtr> Lanes::broker_entries() const {
    std::vector<EntryPtr> all;
    for (const auto& [key, lane] : lanes_) {
        std::copy_if(lane.queue_.begin(), lane.queue_.end(), std::back_inserter(all),
                     [](const EntryPtr& entry) { return entry->origin == Origin::broker; });
    }
    return all;
}

void Lanes::make_ready(Lane& lane) {
    lane.state_ = Lane::State::ready;
    ready_.push_back(&lane);
}

void Lanes::stop_waiting(Lane& lane) {
    waiting_.erase({lane.retry_at_, &lane});
    blocked_ -= lane.queue_.size();
}

}  // namespace txm::detail
