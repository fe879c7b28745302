#pragma once

#include "stores/dynamodb/consumer_store_keys.hpp"
#include "txm/admin.hpp"
#include "txm/dynamodb.hpp"

#include <functional>
#include <string>
#include <vector>

namespace txm::dynamodb::detail {

/// What an operator does with what one consumer decided or keeps. Changes are one transaction a message, each on the
/// condition that the message is still as it was read.
/// *Lifetime*: `db` must outlive it. *Thread safety*: any number of coroutines.
class InboxAdmin {
public:
    InboxAdmin(Database& db, std::string inbox_table, std::string state_table, std::string consumer);

    /// `state` is processed, dead, skipped, parked or empty. By message_id; parked ones last.
    awaitable<void> list(std::string state, MessageFilter filter, std::function<bool(const ListedDelivery&)> each);

    /// Dead letters and parked deliveries. Give the number.
    awaitable<std::size_t> replay(MessageFilter filter);
    awaitable<std::size_t> skip(MessageFilter filter);

private:
    using Each = std::function<bool(const ListedDelivery&)>;
    struct Selected {
        std::string message_id;
        bool is_dead = false;

        friend auto operator<=>(const Selected&, const Selected&) = default;
    };

    awaitable<std::vector<std::string>> decided_ids(std::string state, MessageFilter filter);
    awaitable<std::vector<std::string>> dead_ids(MessageFilter filter);
    awaitable<std::vector<std::string>> parked_ids(MessageFilter filter);
    awaitable<std::vector<Selected>> select(MessageFilter filter);

    /// Give false when `each` has seen enough.
    awaitable<bool> list_decided(const std::string& state, const MessageFilter& filter, const Each& each,
                                 std::size_t& left);
    awaitable<bool> list_parked(const MessageFilter& filter, const Each& each, std::size_t& left);

    /// Give whether there was still something to decide.
    awaitable<bool> replay_dead(const std::string& message_id, const MessageFilter& filter);
    awaitable<bool> replay_parked(const std::string& message_id, const MessageFilter& filter);
    awaitable<bool> skip_one(const Selected& selected, const MessageFilter& filter);

    /// Stages that the dead letter goes, with its parts; the commit throws Moved when it is gone already.
    void remove_dead(Session& session, const Item& letter, const std::string& message_id) const;

    Database& db_;
    const std::string inbox_, table_, consumer_;
    const ConsumerKeys keys_;
};

}  // namespace txm::dynamodb::detail
