#include "stores/dynamodb/admin_outbox.hpp"

#include "stores/dynamodb/admin_filter.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

MessageState state_of(const std::string& text, MessageState otherwise) {
    if (text == "parked")
        return MessageState::parked;
    return text == "dead" || text == "skipped" ? MessageState::dead : otherwise;
}

Uuid id_of(const std::string& row_key, const Uuid& known) {
    constexpr std::string_view prefix = "MESSAGE#";
    if (!row_key.starts_with(prefix))
        return known;
    return Uuid::try_parse(std::string_view(row_key).substr(prefix.size())).value_or(known);
}

}  // namespace

bool is_meant(const MessageFilter& filter, const OutboxMessage& message) {
    return selects(filter, message.listed.message) && (!filter.state || message.listed.message.state == *filter.state);
}

bool OutboxLane::is_held_by(const Uuid& message_id) const {
    const std::string* holder = text_of(item, "MessageId");
    return is_held() && holder && Uuid::try_parse(*holder) == message_id;
}

std::optional<Timestamp> OutboxLane::next_attempt() const {
    const std::string* time = text_of(item, "NextAttemptAt");
    return time ? try_parse_iso8601(*time) : std::nullopt;
}

std::string OutboxLane::reason() const {
    const std::string* reason = text_of(item, "Reason");
    return reason ? *reason : std::string{};
}

// Those that are gone meanwhile are left out.
awaitable<std::vector<OutboxMessage>> OutboxAdmin::read(std::vector<std::string> keys) {
    std::vector<TableKey> wanted;
    for (const std::string& key : keys) {
        Item row_key;
        row_key.emplace("PK", key);
        wanted.emplace_back(tables_.outbox, std::move(row_key));
        wanted.emplace_back(tables_.state, message_state_key(id_of(key, Uuid{})));
    }
    const std::vector<std::optional<Item>> found = co_await db_.impl().get_items(wanted);
    std::vector<OutboxMessage> messages;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const std::optional<Item>& row = found[2 * i];
        const std::optional<Item>& state = found[2 * i + 1];
        if (!row)
            continue;
        OutboxMessage message;
        message.row_key = std::move(keys[i]);
        StoredMessage& stored = message.listed.message;
        std::string problem;
        read_outbox_row(*row, std::numeric_limits<std::size_t>::max(), stored, problem);
        stored.message_id = id_of(message.row_key, stored.message_id);
        const bool is_dispatched = !text_of(*row, "NotDispatched");
        if (is_dispatched)
            stored.state = MessageState::dispatched;
        if (state) {
            stored.attempts = static_cast<int>(integer_of(*state, "Attempts"));
            stored.replays = static_cast<int>(integer_of(*state, "Replays"));
            if (const std::string* text = text_of(*state, "State")) {
                message.state = *text;
                // Where the row itself tells that it is pending, somebody has set it back by hand; where it is dispatched,
                // another program said so of one that was parked.
                if (!is_dispatched && (tables_.compat || stored.state != MessageState::pending))
                    stored.state = state_of(*text, stored.state);
            }
            if (const std::string* reason = text_of(*state, "Reason"); reason && stored.state == MessageState::dead)
                message.listed.reason = *reason;
        }
        messages.push_back(std::move(message));
    }
    wanted.clear();
    for (const OutboxMessage& message : messages)
        wanted.emplace_back(tables_.state, lane_key(message.listed.message.aggregate_id));
    std::vector<std::optional<Item>> lanes = co_await db_.impl().get_items(wanted);
    for (std::size_t i = 0; i < messages.size(); ++i) {
        if (!lanes[i])
            continue;
        ListedMessage& listed = messages[i].listed;
        OutboxLane& lane = messages[i].lane;
        lane.item = std::move(*lanes[i]);
        if (listed.message.state == MessageState::parked) {
            listed.reason = lane.reason();
            listed.next_attempt_at = lane.next_attempt();
            listed.held = lane.is_held();
        } else if (listed.message.state == MessageState::dead) {
            listed.held = lane.is_held_by(listed.message.message_id);
        }
    }
    co_return messages;
}

awaitable<void> OutboxAdmin::list(MessageFilter filter, std::function<bool(const ListedMessage&)> each) {
    const std::vector<SelectedKey> keys = co_await select_keys(db_.impl(), tables_, filter);
    std::size_t left = limit_of(filter);
    for (std::span<const SelectedKey> rest{keys}; !rest.empty() && left > 0;) {
        const auto some = rest.first(std::min(page, rest.size()));
        rest = rest.subspan(some.size());
        std::vector<std::string> row_keys;
        for (const SelectedKey& key : some)
            row_keys.push_back(key.row_key);
        const std::vector<OutboxMessage> messages = co_await read(std::move(row_keys));
        for (const OutboxMessage& message : messages) {
            if (!is_meant(filter, message))
                continue;
            if (left-- == 0 || !each(message.listed))
                co_return;
        }
    }
}

}  // namespace txm::dynamodb::detail
