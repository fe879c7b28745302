#include "stores/dynamodb/consumer_store_delivery.hpp"

#include "stores/dynamodb/outbox_row.hpp"
#include "txm/error.hpp"

#include <utility>

namespace txm::dynamodb::detail {
namespace {

// An item may have 400 kB, names included. What a lane, a reason or a counter adds to it fits into the rest.
constexpr std::size_t max_kept = 396 * 1024;

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

std::size_t size_of(const StoredMessage& message) {
    std::size_t size = 1024 + message.payload.size() + message.topic.size() + message.type.size() +
                       2 * message.aggregate_id.str().size();
    for (const auto& [name, value] : message.headers)
        size += name.size() + value.size() + 2;
    return size;
}

}  // namespace

Item item_of(const Delivery& delivery, Item key) {
    const StoredMessage& message = delivery.message;
    if (const std::size_t size = size_of(message); size > max_kept)
        throw Error(
            Errc::not_supported,
            "message " + message.message_id.to_string() + " has " + std::to_string(size) +
                " bytes and cannot be parked or become a dead letter: DynamoDB keeps no item of more than 400 kB. "
                "Its lane waits until the handler takes it, and nothing is acknowledged; send a reference to a "
                "large content instead of the content",
            message.message_id);
    Item item = std::move(key);
    item.insert_or_assign("MessageId", message.message_id);
    put_text(item, "Topic", message.topic);
    put_text(item, "Type", message.type);
    put_text(item, "AggregateId", message.aggregate_id.str());
    item.insert_or_assign("CorrelationId", message.correlation_id);
    put_text(item, "Message", message.payload);
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

}  // namespace txm::dynamodb::detail
