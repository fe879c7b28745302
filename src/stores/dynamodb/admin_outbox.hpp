#pragma once

#include "stores/dynamodb/admin_select.hpp"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace txm::dynamodb::detail {

/// The lane of an aggregate that the relay has blocked, as it was read. Writing it is conditional on that.
struct OutboxLane {
    Item item{};

    bool is_held() const { return !item.empty() && !item.contains("NextAttemptAt"); }
    /// The dead letter that has to be decided about before the lane goes on.
    bool is_held_by(const Uuid& message_id) const;
    std::optional<Timestamp> next_attempt() const;
    std::string reason() const;
};

/// A message as its row and the state table tell of it.
struct OutboxMessage {
    std::string row_key{};
    ListedMessage listed{};
    std::string state{};  ///< as the state table has it: empty, parked, dead or skipped
    OutboxLane lane{};    ///< of parked and dead ones
};

bool is_meant(const MessageFilter& filter, const OutboxMessage& message);

/// What an operator does with an outbox. The relay, whose lease is not asked for, works beside it: changes are
/// transactions of some messages of one lane, on the condition that these and the lane are still as they were read.
/// *Lifetime*: `db` must outlive it. *Thread safety*: any number of coroutines.
class OutboxAdmin {
public:
    OutboxAdmin(Database& db, AdminTables tables) : db_(db), tables_(std::move(tables)) {}

    awaitable<void> list(MessageFilter filter, std::function<bool(const ListedMessage&)> each);

    // Give the number of messages.
    awaitable<std::size_t> replay(MessageFilter filter, Admin::Progress progress);
    awaitable<std::size_t> skip(MessageFilter filter, Admin::Progress progress);
    awaitable<std::size_t> purge(MessageFilter filter, Admin::Progress progress);

private:
    // So many rows are in memory at a time; two keys each make one request.
    static constexpr std::size_t page = 50;

    /// What is to become of a lane.
    struct LaneWish {
        std::optional<Sequence> put_back{};  ///< of the first message that is sent again
        bool is_decided = false;             ///< no dead letter holds it any more
        bool goes_on = false;
    };
    struct Decision {
        bool (*applies)(const OutboxMessage&);  ///< to a message in that state
        void (OutboxAdmin::*stage)(const OutboxMessage&, Session&, LaneWish&) const;
    };

    awaitable<std::vector<OutboxMessage>> read(std::vector<std::string> keys);
    awaitable<std::size_t> decide(MessageFilter filter, Admin::Progress progress, Decision decision);
    awaitable<std::size_t> decide_lane(std::vector<OutboxMessage> messages, const MessageFilter& filter,
                                       Decision decision);

    void stage_replay(const OutboxMessage& message, Session& session, LaneWish& wish) const;
    void stage_skip(const OutboxMessage& message, Session& session, LaneWish& wish) const;
    void stage_purge(const OutboxMessage& message, Session& session, LaneWish& wish) const;
    void stage_lane(const AggregateId& aggregate_id, const OutboxLane& lane, const LaneWish& wish,
                    Session& session) const;

    Database& db_;
    const AdminTables tables_;
};

}  // namespace txm::dynamodb::detail
