#pragma once

#include "txm/inbox.hpp"
#include "txm/message.hpp"
#include "txm/subscription.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace txm {

/// Which messages of an outbox (or, where that makes sense, of an inbox) are meant. Everything given must hold.
struct MessageFilter {
    std::vector<Uuid> ids{};
    std::optional<MessageState> state{};
    std::optional<std::string> topic{};
    std::optional<std::string> aggregate_id{};
    std::optional<Uuid> correlation_id{};
    std::optional<Timestamp> since{};   ///< stored at or after
    std::optional<Timestamp> before{};  ///< stored before
    std::size_t limit = 0;              ///< 0: no limit

    bool selects_everything() const noexcept {
        return ids.empty() && !state && !topic && !aggregate_id && !correlation_id && !since && !before;
    }
};

/// A message of an outbox with what is known of its failure.
struct ListedMessage {
    StoredMessage message;
    std::string reason{};                        ///< why it is parked or dead
    std::optional<Timestamp> next_attempt_at{};  ///< of its lane
    bool held = false;                           ///< its lane waits for an operator
};

/// What a consumer decided or keeps of a message.
struct ListedDelivery {
    std::string state{};  ///< processed, dead, skipped or parked
    std::string consumer{};
    Uuid message_id;
    Timestamp created_at{};
    std::optional<StoredMessage> message{};  ///< for dead and parked ones
    int attempts = 0;
    std::string reason{};
    std::optional<Timestamp> next_attempt_at{};
    bool held = false;
};

struct LeaseStatus {
    std::string name{};
    std::string member{};  ///< host, process id
    std::int64_t fence = 0;
    bool is_held = false;
};

struct InboxStatus {
    std::string consumer{};
    std::uint64_t processed = 0, dead = 0, skipped = 0, parked = 0, lanes_blocked = 0;
    std::optional<Timestamp> purged_to{};
};

struct StoreStatus {
    std::uint64_t pending = 0, parked = 0, dead = 0, lanes_blocked = 0, lanes_held = 0;
    std::optional<std::chrono::seconds> oldest_pending_age{};  ///< of pending and parked messages
    std::vector<LeaseStatus> leases{};
    std::vector<InboxStatus> inboxes{};
    int schema_version = 0;
    std::vector<std::string> warnings{};  ///< each makes the store unhealthy, and says what to do
};

/// What an operator does with a store. Every store has one.
/// *Thread safety*: any number of coroutines. All changes are made in bounded batches.
class Admin {
public:
    using Progress = std::function<void(std::size_t done)>;

    virtual ~Admin() = default;

    virtual awaitable<StoreStatus> status() = 0;

    /// The outbox's part of it, up to the age: all that a relay may need rights for.
    virtual awaitable<StoreStatus> outbox_status() { return status(); }

    /// What waits or is blocked of one consumer, with the rights of that consumer.
    virtual awaitable<InboxStatus> inbox_status(std::string consumer) {
        const StoreStatus all = co_await status();
        for (const InboxStatus& inbox : all.inboxes) {
            if (inbox.consumer == consumer)
                co_return inbox;
        }
        co_return InboxStatus{std::move(consumer)};
    }

    /// In sequence order. `each` gets one at a time, so that a list of any length needs no memory; false ends it.
    virtual awaitable<void> list(MessageFilter filter, std::function<bool(const ListedMessage&)> each) = 0;

    /// Sends messages again, dispatched and dead ones included: each with a new deduplication id, its lane in order.
    /// Gives the number of messages. Pending ones are left alone.
    virtual awaitable<std::size_t> replay(MessageFilter filter, Progress progress) = 0;

    /// Gives up parked and dead messages: their lanes go on without them. Gives the number of messages.
    virtual awaitable<std::size_t> skip(MessageFilter filter, Progress progress) = 0;

    /// Deletes dispatched messages, or those of the filter's state, that are stored before the filter's `before`.
    /// Pending and parked messages are never deleted.
    virtual awaitable<std::size_t> purge(MessageFilter filter, Progress progress) = 0;

    /// The same for what a consumer decided or keeps; `state` is processed, dead, skipped, parked or empty (all).
    virtual awaitable<void> list_inbox(std::string consumer, std::string state, MessageFilter filter,
                                       std::function<bool(const ListedDelivery&)> each) = 0;
    virtual awaitable<std::size_t> replay_inbox(std::string consumer, MessageFilter filter) = 0;
    virtual awaitable<std::size_t> skip_inbox(std::string consumer, MessageFilter filter) = 0;
    /// Deletes decided inbox rows (moving purged_to) stored before the filter's `before`.
    virtual awaitable<std::size_t> purge_inbox(std::string consumer, MessageFilter filter, Progress progress) = 0;
};

}  // namespace txm
