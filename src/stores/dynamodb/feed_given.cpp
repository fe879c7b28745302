#include "stores/dynamodb/feed_given.hpp"

#include <algorithm>
#include <utility>

namespace txm::dynamodb::detail {

GivenMessage::GivenMessage(const Candidate& candidate)
    : message_id(candidate.message.message_id),
      aggregate_id(candidate.message.aggregate_id),
      sequence(candidate.message.sequence),
      topic(candidate.message.topic),
      row_key(candidate.row_key),
      attempts(candidate.message.attempts),
      replays(candidate.message.replays),
      is_parked(candidate.is_parked),
      has_state(candidate.has_state) {}

void Given::give(GivenMessage message) {
    Lane& lane = lanes_[message.aggregate_id.str()];
    if (message.is_parked && lane.parked++ == 0)
        ++runs_;
    lane.messages.push_back(std::move(message));
}

bool Given::has_run(std::string_view aggregate_id) const {
    if (runs_ == 0)
        return false;
    const auto lane = lanes_.find(std::string(aggregate_id));
    return lane != lanes_.end() && lane->second.parked > 0;
}

std::optional<GivenMessage> Given::find(const AggregateId& aggregate_id, const Uuid& message_id) const {
    const auto lane = lanes_.find(aggregate_id.str());
    if (lane == lanes_.end())
        return std::nullopt;
    const auto& messages = lane->second.messages;
    const auto found = std::ranges::find(messages, message_id, &GivenMessage::message_id);
    if (found == messages.end())
        return std::nullopt;
    return *found;
}

std::vector<GivenMessage> Given::of_lane(const AggregateId& aggregate_id, Sequence from) const {
    std::vector<GivenMessage> messages;
    const auto lane = lanes_.find(aggregate_id.str());
    if (lane == lanes_.end())
        return messages;
    for (const GivenMessage& message : lane->second.messages) {
        if (message.sequence >= from)
            messages.push_back(message);
    }
    return messages;
}

void Given::set_attempts(const AggregateId& aggregate_id, const Uuid& message_id, int attempts) {
    const auto lane = lanes_.find(aggregate_id.str());
    if (lane == lanes_.end())
        return;
    for (GivenMessage& message : lane->second.messages) {
        if (message.message_id == message_id) {
            message.attempts = attempts;
            message.has_state = true;
        }
    }
}

bool Given::remove(const AggregateId& aggregate_id, const Uuid& message_id) {
    const auto lane = lanes_.find(aggregate_id.str());
    if (lane == lanes_.end())
        return false;
    auto& [messages, parked] = lane->second;
    const auto found = std::ranges::find(messages, message_id, &GivenMessage::message_id);
    if (found == messages.end())
        return false;
    const bool is_last_of_run = found->is_parked && --parked == 0;
    if (is_last_of_run)
        --runs_;
    messages.erase(found);
    if (messages.empty())
        lanes_.erase(lane);
    return is_last_of_run;
}

void Given::clear() {
    lanes_.clear();
    runs_ = 0;
}

}  // namespace txm::dynamodb::detail
