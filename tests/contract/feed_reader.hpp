#pragma once

#include "txm/feed.hpp"
#include "txm/sync_wait.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace txm::test {

/// A relay reduced to its calls: reads, settles, parks.
class FeedReader {
public:
    explicit FeedReader(OutboxFeed& feed) : feed_(feed) {}

    Fence acquire() { return sync_wait(feed_.acquire()); }
    void release() { sync_wait(feed_.release()); }

    std::vector<StoredMessage> read(std::size_t max = 1000, std::size_t max_bytes = 1 << 20) {
        return sync_wait(feed_.read(max, max_bytes));
    }

    /// Reads until a message with that payload comes: what comes before it, and it.
    std::vector<StoredMessage> read_until(const std::string& payload) {
        std::vector<StoredMessage> all;
        for (;;) {
            for (StoredMessage& message : read())
                all.push_back(std::move(message));
            const bool has_come =
                std::ranges::any_of(all, [&](const StoredMessage& m) { return m.payload == payload; });
            if (has_come || all.empty())
                return all;
        }
    }

    void settle(const std::vector<StoredMessage>& messages, Settlement settlement = Settlement::dispatched,
                const std::string& reason = {}) {
        std::vector<Outcome> outcomes;
        for (const StoredMessage& m : messages)
            outcomes.push_back({m.message_id, m.aggregate_id, m.sequence, settlement, m.attempts, reason});
        sync_wait(feed_.settle(outcomes));
    }

    void park(const StoredMessage& from, int attempts, Timestamp next_attempt, const std::string& reason = "refused") {
        sync_wait(feed_.park(from.aggregate_id, from.sequence, attempts, next_attempt, reason));
    }

    void mark_attempts(const StoredMessage& message, int attempts) {
        const std::vector<Outcome> marks{
            {message.message_id, message.aggregate_id, message.sequence, Settlement::dispatched, attempts}};
        sync_wait(feed_.mark_attempts(marks));
    }

    bool is_drained() { return sync_wait(feed_.drained()); }

private:
    OutboxFeed& feed_;
};

inline std::vector<std::string> payloads(const std::vector<StoredMessage>& messages) {
    std::vector<std::string> texts;
    for (const StoredMessage& message : messages)
        texts.push_back(message.payload);
    return texts;
}

/// Of one lane.
inline std::vector<std::string> payloads_of(const std::vector<StoredMessage>& messages,
                                            const std::string& aggregate_id) {
    std::vector<std::string> texts;
    for (const StoredMessage& message : messages) {
        if (message.aggregate_id == AggregateId(aggregate_id))
            texts.push_back(message.payload);
    }
    return texts;
}

}  // namespace txm::test
