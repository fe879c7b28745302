#include "stores/dynamodb/consumer_store_keys.hpp"

#include "aws/sha256.hpp"
#include "stores/dynamodb/limits.hpp"
#include "stores/dynamodb/state_table.hpp"

namespace txm::dynamodb::detail {
namespace {

std::string escaped(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (const char c : text) {
        if (c == '#')
            result += "%23";
        else if (c == '%')
            result += "%25";
        else
            result += c;
    }
    return result;
}

// What others sent may have longer names than a key of DynamoDB. No other name is without `#`.
std::string name_of(const ConsumerLane& lane) {
    std::string name = escaped(lane.topic) + "#" + lane.aggregate_id;
    if (name.size() > most_lane_bytes) {
        const aws::detail::Digest digest = aws::detail::Sha256{}.hash(name);
        name = "sha256:";
        aws::detail::append_hex(name, digest);
    }
    return name;
}

}  // namespace

ConsumerLane lane_of(const StoredMessage& message) {
    return {message.topic, message.aggregate_id.str()};
}

ConsumerKeys::ConsumerKeys(std::string_view consumer, std::string_view inbox_table)
    : consumer_(consumer), inbox_(inbox_table), base_("CONSUMER#" + escaped(consumer) + "#" + inbox_ + "#") {}

Item ConsumerKeys::lane(const ConsumerLane& lane) const {
    return state_key(lanes(), name_of(lane));
}

Item ConsumerKeys::due(const ConsumerLane& lane, Timestamp at) const {
    return state_key(due_lanes(), fixed_width(at) + "#" + name_of(lane));
}

std::string ConsumerKeys::due_until(Timestamp at) {
    return fixed_width(at) + "$";
}

std::string ConsumerKeys::members(const ConsumerLane& lane) const {
    return base_ + "PARKED#" + name_of(lane);
}

Item ConsumerKeys::member(const ConsumerLane& lane, const std::string& place) const {
    return state_key(members(lane), place);
}

std::string ConsumerKeys::place(const Delivery& delivery) {
    return fixed_width(delivery.message.sequence) + "#" + fixed_width(delivery.position) + "#" +
           delivery.message.message_id.to_string();
}

Item ConsumerKeys::parked(std::string_view message_id) const {
    return state_key(base_ + "MESSAGE#" + std::string(message_id), "PARKED");
}

Item ConsumerKeys::attempts(std::string_view message_id) const {
    return state_key(base_ + "MESSAGE#" + std::string(message_id), "ATTEMPTS");
}

Item ConsumerKeys::dead(std::string_view message_id) const {
    return state_key(dead_letters(), std::string(message_id));
}

Item ConsumerKeys::dead_parts(std::string_view message_id) const {
    return state_key(base_ + "MESSAGE#" + std::string(message_id), "DEAD");
}

Item ConsumerKeys::lease(std::string_view what) const {
    return state_key(leases(), std::string(what));
}

Item ConsumerKeys::registered() const {
    return state_key(consumers(inbox_), consumer_.empty() ? "%" : escaped(consumer_));
}

std::string ConsumerKeys::consumers(std::string_view inbox_table) {
    return "CONSUMERS#" + std::string(inbox_table);
}

}  // namespace txm::dynamodb::detail
