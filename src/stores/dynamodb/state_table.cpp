#include "stores/dynamodb/state_table.hpp"

#include "stores/dynamodb/outbox_row.hpp"

#include <utility>

namespace txm::dynamodb::detail {
namespace {

std::string range_of(Sequence sequence, const Uuid& message_id) {
    return fixed_width(sequence) + '#' + message_id.to_string();
}

}  // namespace

std::string fixed_width(Sequence sequence) {
    const std::string digits = std::to_string(sequence);
    return std::string(20 - digits.size(), '0') + digits;
}

std::string fixed_width(Timestamp time) {
    std::string text = to_iso8601(time);
    if (text[19] != '.')
        text.insert(19, ".000000");
    return text;
}

Item state_key(std::string hash, std::string range) {
    Item key;
    key.emplace("PK", std::move(hash));
    key.emplace("SK", std::move(range));
    return key;
}

Item counter_key(const AggregateId& aggregate_id) {
    return state_key("AGGREGATE#" + aggregate_id.str(), "COUNTER");
}

Item lease_key() {
    return state_key("LEASE", "relay");
}

Item position_key(std::string_view stream_arn, std::string_view shard_id) {
    return state_key("POSITION", std::string(stream_arn) + '#' + std::string(shard_id));
}

Item lane_key(const AggregateId& aggregate_id) {
    return state_key("LANE", aggregate_id.str());
}

Item due_key(Timestamp next_attempt, const AggregateId& aggregate_id) {
    return state_key("DUE", fixed_width(next_attempt) + '#' + aggregate_id.str());
}

Item message_state_key(const Uuid& message_id) {
    return state_key(key_of(message_id), "STATE");
}

Item parked_key(const AggregateId& aggregate_id, Sequence sequence, const Uuid& message_id) {
    return state_key("PARKED#" + aggregate_id.str(), range_of(sequence, message_id));
}

Item dead_key(Sequence sequence, const Uuid& message_id) {
    return state_key("DEAD", range_of(sequence, message_id));
}

}  // namespace txm::dynamodb::detail
