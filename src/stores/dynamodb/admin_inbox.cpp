#include "stores/dynamodb/admin_inbox.hpp"

#include "stores/dynamodb/admin_filter.hpp"
#include "stores/dynamodb/consumer_store_delivery.hpp"
#include "stores/dynamodb/consumer_store_lanes.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/inbox_row.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// So many items are in memory at a time, besides the ids of all that are listed.
constexpr std::size_t page = 100;

constexpr std::string_view id_prefix = "MESSAGE#";
constexpr std::size_t id_size = 36;

std::string state_of(const Item& inbox_row) {
    const std::string* state = text_of(inbox_row, "State");
    return state ? *state : "processed";
}

void check_state(const std::string& state) {
    if (!state.empty() && state != "processed" && state != "dead" && state != "skipped" && state != "parked")
        throw Error(Errc::invalid_configuration,
                    "'" + state + "' is not a state of an inbox: use processed, dead, skipped or parked");
}

std::optional<Timestamp> time_in(const Item& item, std::string_view name) {
    const std::string* text = text_of(item, name);
    return text ? try_parse_iso8601(*text) : std::nullopt;
}

bool is_in_time(const MessageFilter& filter, const Item& inbox_row) {
    if (!filter.since && !filter.before)
        return true;
    const std::optional<Timestamp> stored_at = time_in(inbox_row, "StoredAt");
    return stored_at && !(filter.since && *stored_at < *filter.since) &&
           !(filter.before && *stored_at >= *filter.before);
}

bool asks_for_content(const MessageFilter& filter) {
    return filter.topic || filter.aggregate_id || filter.correlation_id;
}

MessageFilter without_times(MessageFilter filter) {
    filter.since.reset();
    filter.before.reset();
    return filter;
}

std::vector<std::string> texts_of(const std::vector<Uuid>& ids) {
    std::vector<std::string> texts;
    texts.reserve(ids.size());
    for (const Uuid& id : ids)
        texts.push_back(id.to_string());
    std::ranges::sort(texts);
    texts.erase(std::ranges::unique(texts).begin(), texts.end());
    return texts;
}

}  // namespace

InboxAdmin::InboxAdmin(Database& db, std::string inbox_table, std::string state_table, std::string consumer)
    : db_(db),
      inbox_(std::move(inbox_table)),
      table_(std::move(state_table)),
      consumer_(std::move(consumer)),
      keys_(consumer_, inbox_) {}

awaitable<void> InboxAdmin::list(std::string state, MessageFilter filter, Each each) {
    check_state(state);
    std::size_t left = limit_of(filter);
    bool goes_on = true;
    if (state != "parked")
        goes_on = co_await list_decided(state, filter, each, left);
    if (goes_on && left > 0 && (state.empty() || state == "parked"))
        co_await list_parked(filter, each, left);
}

// No index knows which rows are of which consumer, nor which are decided how: only dead letters have a place of their own.
awaitable<std::vector<std::string>> InboxAdmin::decided_ids(std::string state, MessageFilter filter) {
    if (!filter.ids.empty())
        co_return texts_of(filter.ids);
    if (state == "dead") {
        MessageFilter all = without_times(std::move(filter));
        co_return co_await dead_ids(std::move(all));
    }
    const std::string suffix = consumer_.empty() ? std::string{} : "#" + consumer_;
    Item values;
    Query scan(inbox_, {}, {});
    if (!suffix.empty()) {
        scan.filter = "contains(PK, :suffix)";
        scan.values.emplace(":suffix", suffix);
    }
    std::vector<std::string> ids;
    Item start;
    do {
        const Page rows = co_await db_.impl().read_page(scan, start);
        for (const Item& row : rows.items) {
            const std::string& key = row.at("PK").text();
            const bool is_ours = key.starts_with(id_prefix) &&
                                 key.size() == id_prefix.size() + id_size + suffix.size() && key.ends_with(suffix);
            if (is_ours && (state.empty() || state_of(row) == state))
                ids.push_back(key.substr(id_prefix.size(), id_size));
        }
        start = rows.last_key;
    } while (!start.empty());
    std::ranges::sort(ids);
    co_return ids;
}

awaitable<std::vector<std::string>> InboxAdmin::dead_ids(MessageFilter filter) {
    if (!filter.ids.empty())
        co_return texts_of(filter.ids);
    std::vector<std::string> ids;
    Item values;
    values.emplace(":dead", keys_.dead_letters());
    const Query query(table_, "PK = :dead", std::move(values));
    Item start;
    do {
        const Page letters = co_await db_.impl().read_page(query, start);
        for (const Item& letter : letters.items) {
            if (selects(filter, delivery_of(letter).message))
                ids.push_back(letter.at("SK").text());
        }
        start = letters.last_key;
    } while (!start.empty());
    co_return ids;
}

awaitable<std::vector<std::string>> InboxAdmin::parked_ids(MessageFilter filter) {
    if (!filter.ids.empty())
        co_return texts_of(filter.ids);
    std::vector<std::string> ids;
    Item values;
    values.emplace(":lanes", keys_.lanes());
    Query lanes(table_, "PK = :lanes", std::move(values));
    const std::vector<Item> all = co_await db_.impl().read_all(std::move(lanes));
    for (const Item& row : all) {
        const ConsumerLane lane{row.at("Topic").text(), row.at("AggregateId").text()};
        if ((filter.topic && lane.topic != *filter.topic) ||
            (filter.aggregate_id && lane.aggregate_id != *filter.aggregate_id))
            continue;
        Item of_lane;
        of_lane.emplace(":lane", keys_.members(lane));
        Query members(table_, "PK = :lane", std::move(of_lane));
        const std::vector<Item> places = co_await db_.impl().read_all(std::move(members));
        for (const Item& place : places) {
            const std::string& text = place.at("SK").text();
            ids.push_back(text.substr(text.rfind('#') + 1));
        }
    }
    std::ranges::sort(ids);
    co_return ids;
}

awaitable<bool> InboxAdmin::list_decided(const std::string& state, const MessageFilter& filter, const Each& each,
                                         std::size_t& left) {
    const std::vector<std::string> ids = co_await decided_ids(state, filter);
    const MessageFilter of_message = without_times(filter);
    for (std::size_t first = 0; first < ids.size() && left > 0; first += page) {
        const auto some = std::span(ids).subspan(first, std::min(page, ids.size() - first));
        std::vector<TableKey> wanted;
        for (const std::string& id : some) {
            wanted.emplace_back(inbox_, inbox_key(Uuid::parse(id), consumer_));
            wanted.emplace_back(table_, keys_.dead(id));
        }
        const std::vector<std::optional<Item>> found = co_await db_.impl().get_items(wanted);
        std::vector<std::optional<Item>> letters;
        std::vector<Item> parts;
        for (std::size_t i = 0; i < some.size(); ++i) {
            letters.push_back(found[2 * i + 1]);
            parts.push_back(keys_.dead_parts(some[i]));
        }
        const std::vector<std::optional<Delivery>> deliveries =
            co_await whole_deliveries(db_.impl(), table_, std::move(letters), std::move(parts));
        for (std::size_t i = 0; i < some.size() && left > 0; ++i) {
            const std::optional<Item>& row = found[2 * i];
            const std::optional<Item>& letter = found[2 * i + 1];
            if (!row || (!state.empty() && state_of(*row) != state) || !is_in_time(filter, *row))
                continue;
            ListedDelivery listed;
            listed.state = state_of(*row);
            listed.consumer = consumer_;
            listed.message_id = Uuid::try_parse(some[i]).value_or(Uuid{});
            listed.created_at = time_in(*row, "CreatedAt").value_or(Timestamp{});
            if (letter && deliveries[i]) {
                const Delivery& delivery = *deliveries[i];
                if (!selects(of_message, delivery.message))
                    continue;
                if (listed.state == "dead") {
                    listed.message = delivery.message;
                    listed.message->state = MessageState::dead;
                    listed.attempts = delivery.attempt;
                    const std::string* reason = text_of(*letter, "Reason");
                    listed.reason = reason ? *reason : std::string{};
                    listed.held = boolean_of(*letter, "Held");
                }
            } else if (asks_for_content(filter)) {
                continue;  // of what took effect no message is kept
            }
            --left;
            if (!each(listed))
                co_return false;
        }
    }
    co_return true;
}

awaitable<bool> InboxAdmin::list_parked(const MessageFilter& filter, const Each& each, std::size_t& left) {
    const std::vector<std::string> ids = co_await parked_ids(filter);
    for (std::size_t first = 0; first < ids.size() && left > 0; first += page) {
        const auto some = std::span(ids).subspan(first, std::min(page, ids.size() - first));
        std::vector<TableKey> wanted;
        std::vector<Item> keys;
        for (const std::string& id : some) {
            keys.push_back(keys_.parked(id));
            wanted.emplace_back(table_, keys.back());
        }
        std::vector<std::optional<Item>> items = co_await db_.impl().get_items(wanted);
        std::vector<std::optional<Delivery>> found =
            co_await whole_deliveries(db_.impl(), table_, std::move(items), std::move(keys));
        std::erase_if(found, [&](const std::optional<Delivery>& delivery) {
            return !delivery || !selects(filter, delivery->message);
        });
        wanted.clear();
        for (const std::optional<Delivery>& delivery : found)
            wanted.emplace_back(table_, keys_.lane(lane_of(delivery->message)));
        const std::vector<std::optional<Item>> lanes = co_await db_.impl().get_items(wanted);
        for (std::size_t i = 0; i < found.size() && left > 0; ++i) {
            const Delivery& delivery = *found[i];
            ListedDelivery listed;
            listed.state = "parked";
            listed.consumer = consumer_;
            listed.message = delivery.message;
            listed.message->state = MessageState::parked;
            listed.message_id = delivery.message.message_id;
            listed.created_at = delivery.message.created_at;
            listed.attempts = delivery.attempt;
            if (lanes[i]) {
                const LaneRow lane = lane_row_of(*lanes[i]);
                listed.reason = lane.reason;
                listed.held = lane.is_held();
                if (!lane.is_held())
                    listed.next_attempt_at = lane.next_attempt;
            }
            --left;
            if (!each(listed))
                co_return false;
        }
    }
    co_return true;
}

}  // namespace txm::dynamodb::detail
