#include "stores/dynamodb/consumer_store_inbox.hpp"

#include "stores/dynamodb/consumer_store_lanes.hpp"
#include "stores/dynamodb/outbox_row.hpp"

#include <utility>

namespace txm::dynamodb::detail {

Item dead_row(Item key, const Incoming& incoming) {
    Item row = std::move(key);
    row.emplace("MessageId", incoming.message_id);
    row.emplace("CreatedAt", now());
    row.emplace("State", "dead");
    if (incoming.stored_at)
        row.emplace("StoredAt", *incoming.stored_at);
    if (incoming.payload_hash)
        row.emplace("PayloadHash", std::to_string(*incoming.payload_hash));
    return row;
}

bool is_dead(const Item& inbox_row) {
    const std::string* state = text_of(inbox_row, "State");
    return state && *state == "dead";
}

Write still_dead(const std::string& table, const Item& key) {
    Item values;
    values.emplace(":dead", "dead");
    std::vector<std::pair<std::string, std::string>> names{{"#state", "State"}};
    return Write::check(table, key).values(std::move(values)).names(std::move(names)).when("#state = :dead", Moved{});
}

}  // namespace txm::dynamodb::detail
