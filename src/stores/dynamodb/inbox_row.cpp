#include "stores/dynamodb/inbox_row.hpp"

#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

std::optional<std::uint64_t> hash_of(const Item& row) noexcept {
    const std::string* text = text_of(row, "PayloadHash");
    std::uint64_t hash = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), hash).ec != std::errc{})
        return std::nullopt;
    return hash;
}

InboxState state_of(const Item& row) noexcept {
    const std::string* state = text_of(row, "State");
    if (!state || *state == "processed")
        return InboxState::processed;
    return *state == "dead" ? InboxState::dead : InboxState::skipped;
}

}  // namespace

std::string inbox_key_text(const Uuid& message_id, const std::string& consumer) {
    std::string key = key_of(message_id);
    if (!consumer.empty())
        key.append("#").append(consumer);
    return key;
}

Item inbox_key(const Uuid& message_id, const std::string& consumer) {
    Item key;
    key.emplace("PK", inbox_key_text(message_id, consumer));
    return key;
}

// An item is deleted when the service comes by after it expired, never before; the hour is for clocks that differ.
Timestamp window_start(std::chrono::seconds retention, Timestamp at) {
    return at - retention + std::min<std::chrono::seconds>(std::chrono::hours{1}, retention / 2);
}

bool is_outside_window(const InboxRow& row, Timestamp at) {
    return row.retention && row.incoming.stored_at && *row.incoming.stored_at <= window_start(*row.retention, at);
}

void append_inbox_put(std::string& out, const InboxRow& row, Timestamp at) {
    char id[36];
    row.incoming.message_id.write_to(id);
    out += R"({"Put":{"TableName":)";
    append_text(out, row.table);
    out += R"(,"Item":{"PK":{"S":)";
    append_text(out, inbox_key_text(row.incoming.message_id, row.consumer));
    out.append(R"(},"MessageId":{"S":")").append(id, sizeof id);
    out.append(R"("},"CreatedAt":{"S":")").append(to_iso8601(at)).append("\"}");
    if (row.incoming.stored_at)
        out.append(R"(,"StoredAt":{"S":")").append(to_iso8601(*row.incoming.stored_at)).append("\"}");
    if (row.incoming.payload_hash)
        out.append(R"(,"PayloadHash":{"S":")").append(std::to_string(*row.incoming.payload_hash)).append("\"}");
    if (row.retention) {
        const Timestamp last = std::max(at, row.incoming.stored_at.value_or(at)) + *row.retention;
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(last.time_since_epoch()).count();
        out.append(R"(,"ExpiresAt":{"N":")").append(std::to_string(seconds)).append("\"}");
    }
    out += '}';
    // A replay flips a dead letter. Where there is none, it is as much a stranger as any other: the sender's operator does
    // not know which consumers have applied and forgotten it.
    if (!row.incoming.replay)
        out += R"-(,"ConditionExpression":"attribute_not_exists(PK)")-";
    else if (is_outside_window(row, at))
        out += R"-(,"ConditionExpression":"#s = :d")-";
    else
        out += R"-(,"ConditionExpression":"attribute_not_exists(PK) OR #s = :d")-";
    if (row.incoming.replay)
        out += R"(,"ExpressionAttributeNames":{"#s":"State"},"ExpressionAttributeValues":{":d":{"S":"dead"}})";
    out += R"(,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}})";
}

ProcessedMessage processed_message(const Uuid& message_id, const Item& row) {
    const std::string* created_at = text_of(row, "CreatedAt");
    ProcessedMessage message;
    message.message_id = message_id;
    message.created_at = created_at ? try_parse_iso8601(*created_at).value_or(Timestamp{}) : Timestamp{};
    message.state = state_of(row);
    message.payload_hash = hash_of(row);
    return message;
}

std::exception_ptr inbox_error(const InboxRow& row, const Item& there) {
    if (there.empty() && row.incoming.replay)
        return std::make_exception_ptr(OutsideInboxWindowError(row.incoming.message_id));
    const std::optional<std::uint64_t> known = hash_of(there);
    const bool differs = known && row.incoming.payload_hash && *known != *row.incoming.payload_hash;
    return std::make_exception_ptr(MessageAlreadyProcessedError(row.incoming.message_id, differs));
}

}  // namespace txm::dynamodb::detail
