#include "stores/dynamodb/stream_shard.hpp"

#include <algorithm>

namespace txm::dynamodb::detail {

void ShardPosition::read(std::string sequence_number, const std::optional<Uuid>& message_id, const IsOpen& is_open) {
    read_ = std::move(sequence_number);
    if (!message_id)
        return;
    entries_.push_back({read_, *message_id});
    // One message may wait for long while all others flow: only what is open is kept.
    if (entries_.size() >= compact_at_) {
        compact(is_open);
        compact_at_ = std::max<std::size_t>(4096, 2 * entries_.size());
    }
}

void ShardPosition::compact(const IsOpen& is_open) {
    while (!entries_.empty() && !is_open(entries_.front().message_id)) {
        passed_ = std::move(entries_.front().sequence_number);
        entries_.pop_front();
    }
    if (entries_.empty())
        return;
    const auto rest = std::remove_if(entries_.begin() + 1, entries_.end(),
                                     [&](const Entry& entry) { return !is_open(entry.message_id); });
    entries_.erase(rest, entries_.end());
}

std::optional<std::string> ShardPosition::take_news(const IsOpen& is_open) {
    while (!entries_.empty() && !is_open(entries_.front().message_id)) {
        passed_ = std::move(entries_.front().sequence_number);
        entries_.pop_front();
    }
    if (entries_.empty())
        passed_ = read_;
    if (passed_.empty() || passed_ == stored_)
        return std::nullopt;
    stored_ = passed_;
    return passed_;
}

}  // namespace txm::dynamodb::detail
