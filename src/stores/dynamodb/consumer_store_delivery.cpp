#include "stores/dynamodb/consumer_store_delivery.hpp"

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// An item may have 400 kB, names included. What a lane, a reason or a counter adds to it fits into the rest.
constexpr std::size_t max_kept = std::size_t{396} * 1024;

std::string text_in(const Item& item, std::string_view name) {
    const std::string* text = text_of(item, name);
    return text ? *text : std::string{};
}

Timestamp time_in(const Item& item, std::string_view name) {
    return try_parse_iso8601(text_in(item, name)).value_or(Timestamp{});
}

void put_text(Item& item, const char* name, const std::string& text) {
    if (!text.empty())
        item.insert_or_assign(name, text);
}

void put_time(Item& item, const char* name, Timestamp time) {
    if (time != Timestamp{})
        item.insert_or_assign(name, time);
}

std::size_t size_without_payload(const StoredMessage& message) {
    std::size_t size = 1024 + message.topic.size() + message.type.size() + 2 * message.aggregate_id.str().size();
    for (const auto& [name, value] : message.headers)
        size += name.size() + value.size() + 2;
    return size;
}

/// At most `most` bytes of the text's beginning, no character of which is cut.
std::string_view beginning(std::string_view text, std::size_t most) {
    if (text.size() <= most)
        return text;
    const auto goes_on = [&](std::size_t at) { return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; };
    std::size_t end = most;
    while (end > 0 && most - end < 4 && goes_on(end))
        --end;
    return text.substr(0, end);
}

/// The payload as it is kept: what the item has, then each part's share.
std::vector<std::string_view> pieces_of(const StoredMessage& message) {
    const std::size_t others = size_without_payload(message);
    std::string_view left = message.payload;
    std::vector<std::string_view> pieces{beginning(left, max_kept - std::min(max_kept, others))};
    left.remove_prefix(pieces.front().size());
    while (!left.empty()) {
        pieces.push_back(beginning(left, max_kept));
        left.remove_prefix(pieces.back().size());
    }
    return pieces;
}

Item part_key(const Item& key, std::size_t number) {
    Item part;
    part.emplace("PK", key.at("PK").text());
    part.emplace("SK", key.at("SK").text() + "#" + std::to_string(number));
    return part;
}

}  // namespace

Item item_of(const Delivery& delivery, Item key) {
    const StoredMessage& message = delivery.message;
    if (const std::size_t size = size_without_payload(message); size > max_kept)
        throw Error(Errc::not_supported,
                    "message " + message.message_id.to_string() + " has " + std::to_string(size) +
                        " bytes without its payload and cannot be parked or become a dead letter: DynamoDB keeps no "
                        "item of more than 400 kB. Its lane waits until the handler takes it, and nothing is "
                        "acknowledged; send shorter headers",
                    message.message_id);
    const std::vector<std::string_view> pieces = pieces_of(message);
    Item item = std::move(key);
    item.insert_or_assign("MessageId", message.message_id);
    put_text(item, "Topic", message.topic);
    put_text(item, "Type", message.type);
    put_text(item, "AggregateId", message.aggregate_id.str());
    item.insert_or_assign("CorrelationId", message.correlation_id);
    put_text(item, "Message", std::string(pieces.front()));
    if (pieces.size() > 1)
        item.insert_or_assign("Parts", static_cast<std::int64_t>(pieces.size() - 1));
    if (!message.headers.empty()) {
        Item headers;
        for (const auto& [name, value] : message.headers)
            headers.emplace(name, value);
        item.insert_or_assign("Headers", std::move(headers));
    }
    put_time(item, "CreatedAt", message.created_at);
    put_time(item, "StoredAt", message.stored_at);
    item.insert_or_assign("Sequence", message.sequence);
    item.insert_or_assign("Partition", delivery.partition);
    item.insert_or_assign("Position", delivery.position);
    item.insert_or_assign("Attempts", delivery.attempt);
    item.insert_or_assign("Replays", message.replays);
    if (delivery.replay)
        item.insert_or_assign("Replay", true);
    return item;
}

std::vector<Item> parts_of(const Delivery& delivery, const Item& key) {
    const std::vector<std::string_view> pieces = pieces_of(delivery.message);
    std::vector<Item> parts;
    for (std::size_t number = 1; number < pieces.size(); ++number) {
        Item part = part_key(key, number);
        part.emplace("Message", std::string(pieces[number]));
        parts.push_back(std::move(part));
    }
    return parts;
}

std::size_t part_count(const Delivery& delivery) {
    return pieces_of(delivery.message).size() - 1;
}

std::vector<Item> part_keys(const Item& item, const Item& key) {
    std::vector<Item> keys;
    const auto count = static_cast<std::size_t>(integer_of(item, "Parts"));
    for (std::size_t number = 1; number <= count; ++number)
        keys.push_back(part_key(key, number));
    return keys;
}

Delivery delivery_of(const Item& item) {
    Delivery delivery;
    StoredMessage& message = delivery.message;
    message.message_id = Uuid::try_parse(text_in(item, "MessageId")).value_or(Uuid{});
    message.topic = text_in(item, "Topic");
    message.type = text_in(item, "Type");
    message.aggregate_id = text_in(item, "AggregateId");
    message.correlation_id = Uuid::try_parse(text_in(item, "CorrelationId")).value_or(message.message_id);
    message.payload = text_in(item, "Message");
    if (const auto headers = item.find("Headers"); headers != item.end()) {
        if (const auto* map = std::get_if<Item>(&headers->second.value())) {
            for (const auto& [name, value] : *map)
                message.headers.emplace(name, value.text());
        }
    }
    message.created_at = time_in(item, "CreatedAt");
    message.stored_at = time_in(item, "StoredAt");
    message.sequence = integer_of(item, "Sequence");
    message.replays = static_cast<int>(integer_of(item, "Replays"));
    delivery.partition = static_cast<int>(integer_of(item, "Partition"));
    delivery.position = integer_of(item, "Position");
    delivery.attempt = static_cast<int>(integer_of(item, "Attempts"));
    delivery.replay = boolean_of(item, "Replay");
    delivery.redelivered = true;
    return delivery;
}

boost::asio::awaitable<std::vector<std::optional<Delivery>>> whole_deliveries(DatabaseImpl& db, std::string table,
                                                                              std::vector<std::optional<Item>> items,
                                                                              std::vector<Item> keys) {
    std::vector<std::optional<Delivery>> whole(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (!items[i])
            continue;
        Delivery delivery = delivery_of(*items[i]);
        std::vector<TableKey> wanted;
        for (Item& key : part_keys(*items[i], keys[i]))
            wanted.emplace_back(table, std::move(key));
        const std::vector<std::optional<Item>> parts = co_await db.get_items(wanted);
        const bool is_whole = std::ranges::all_of(parts, [](const auto& part) { return part.has_value(); });
        if (!is_whole)
            continue;
        for (const std::optional<Item>& part : parts)
            delivery.message.payload += text_in(*part, "Message");
        whole[i] = std::move(delivery);
    }
    co_return whole;
}

}  // namespace txm::dynamodb::detail
