#include "stores/dynamodb/outbox_row.hpp"

#include "stores/dynamodb/json.hpp"
#include "txm/error.hpp"

#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

constexpr std::string_view key_prefix = "MESSAGE#";

// Only the first problem is told: the others often follow from it.
class Problem {
public:
    explicit Problem(std::string& text) : text_(text) { text_.clear(); }
    void operator()(std::string what) {
        if (text_.empty())
            text_ = std::move(what);
    }
    bool is_none() const noexcept { return text_.empty(); }

private:
    std::string& text_;
};

std::string not_a(std::string_view attribute, std::string_view what, std::string_view value) {
    constexpr std::size_t shown = 60;
    std::string text = "its " + std::string(attribute) + " is not " + std::string(what) + ": '";
    text += value.substr(0, shown);
    text += value.size() > shown ? "…'" : "'";
    return text;
}

std::string_view view_of(const Item& row, std::string_view name) noexcept {
    const std::string* text = text_of(row, name);
    return text ? std::string_view(*text) : std::string_view{};
}

std::optional<Timestamp> read_time(const Item& row, std::string_view name, Problem& problem) {
    const std::string_view text = view_of(row, name);
    const std::optional<Timestamp> time = try_parse_iso8601(text);
    if (!time)
        problem(not_a(name, "a time in ISO 8601", text));
    return time;
}

void read_headers(const Item& row, Headers& headers, Problem& problem) {
    const auto found = row.find("Headers");
    if (found == row.end())
        return;
    const Item* map = std::get_if<Item>(&found->second.value());
    if (!map)
        return problem("its Headers are not a map");
    for (const auto& [name, value] : *map) {
        const std::string* text = std::get_if<std::string>(&value.value());
        if (!text)
            return problem("its header " + name + " is not a text");
        headers.emplace(name, *text);
    }
}

MessageState state_of(const Item& row) noexcept {
    const std::string* undispatched = text_of(row, "NotDispatched");
    if (!undispatched)
        return MessageState::dispatched;
    if (*undispatched == not_dispatched_parked)
        return MessageState::parked;
    return *undispatched == not_dispatched_dead ? MessageState::dead : MessageState::pending;
}

/// Appends `,"name":{"S":"<plain>"}`, for values that need no escapes.
void append_plain(std::string& out, std::string_view name, std::string_view plain) {
    out.append(",\"").append(name).append(R"(":{"S":")").append(plain).append("\"}");
}

void append_escaped(std::string& out, std::string_view name, std::string_view text) {
    out.append(",\"").append(name).append(R"(":{"S":)");
    append_text(out, text);
    out += '}';
}

void append_headers(std::string& out, const Headers& headers) {
    out += R"(,"Headers":{"M":{)";
    const char* separator = "";
    for (const auto& [name, value] : headers) {
        out += std::exchange(separator, ",");
        append_text(out, name);
        out += R"(:{"S":)";
        append_text(out, value);
        out += '}';
    }
    out += "}}";
}

}  // namespace

std::string key_of(const Uuid& message_id) {
    std::string key(key_prefix.size() + 36, '\0');
    key_prefix.copy(key.data(), key_prefix.size());
    message_id.write_to(key.data() + key_prefix.size());
    return key;
}

Item outbox_key(const Uuid& message_id) {
    Item key;
    key.emplace("PK", key_of(message_id));
    return key;
}

void append_outbox_row(std::string& out, const StoredMessage& message, const Uuid& previous, OutboxLayout layout) {
    std::array<char, 36> id_text, other_text;
    message.message_id.write_to(id_text.data());
    const std::string_view id{id_text.data(), id_text.size()}, other{other_text.data(), other_text.size()};

    out.append(R"({"PK":{"S":"MESSAGE#)").append(id).append("\"}");
    append_plain(out, "MessageId", id);
    append_escaped(out, "AggregateId", message.aggregate_id.str());
    (message.correlation_id.is_nil() ? message.message_id : message.correlation_id).write_to(other_text.data());
    append_plain(out, "CorrelationId", other);
    append_escaped(out, "Topic", message.topic);
    append_escaped(out, "Message", message.payload);
    append_plain(out, "CreatedAt", to_iso8601(message.created_at));
    out += R"(,"ApproximateDispatchCount":{"N":"0"},"IsDispatched":{"BOOL":false},"NotDispatched":{"S":"x"})";
    if (!message.type.empty())
        append_escaped(out, "Type", message.type);
    if (!message.headers.empty())
        append_headers(out, message.headers);
    if (!layout.compat)
        append_plain(out, "StoredAt", to_iso8601(message.stored_at));
    if (message.sequence > 0) {
        out.append(R"(,"Sequence":{"N":")").append(std::to_string(message.sequence)).append("\"}");
        if (!previous.is_nil()) {
            previous.write_to(other_text.data());
            append_plain(out, "PreviousMessageId", other);
        }
    }
    out += '}';
}

bool read_outbox_row(const Item& row, std::size_t max_payload, StoredMessage& message, std::string& problem) {
    Problem found{problem};
    const std::string_view id_text = view_of(row, "MessageId");
    if (const auto id = Uuid::try_parse(id_text); id && !id->is_nil())
        message.message_id = *id;
    else
        found(not_a("MessageId", "a UUID (the nil one is none)", id_text));
    message.correlation_id = message.message_id;
    if (const std::string* text = text_of(row, "CorrelationId")) {
        if (const auto id = Uuid::try_parse(*text); !id)
            found(not_a("CorrelationId", "a UUID", *text));
        else if (!id->is_nil())
            message.correlation_id = *id;
    }
    message.aggregate_id = AggregateId(view_of(row, "AggregateId"));
    message.topic = view_of(row, "Topic");
    if (message.topic.empty())
        found("its Topic is empty");
    message.type = view_of(row, "Type");
    read_headers(row, message.headers, found);

    const std::string* payload = text_of(row, "Message");
    if (!payload)
        found("it has no Message");
    else if (payload->size() > max_payload)
        found("its payload has " + std::to_string(payload->size()) + " bytes, more than the limit of " +
              std::to_string(max_payload));
    else
        message.payload = *payload;

    message.created_at = read_time(row, "CreatedAt", found).value_or(Timestamp{});
    message.stored_at = message.created_at;
    if (row.contains("StoredAt"))
        message.stored_at = read_time(row, "StoredAt", found).value_or(message.created_at);
    if (row.contains("LastDispatchedAt"))
        message.last_dispatched_at = read_time(row, "LastDispatchedAt", found);
    message.sequence = integer_of(row, "Sequence");
    message.state = state_of(row);
    message.approximate_dispatch_count = static_cast<int>(integer_of(row, "ApproximateDispatchCount"));
    return found.is_none();
}

StoredMessage message_of(const Item& row) {
    StoredMessage message;
    std::string problem;
    if (!read_outbox_row(row, std::numeric_limits<std::size_t>::max(), message, problem))
        throw Error(Errc::invalid_message,
                    "the message " + std::string(view_of(row, "PK")) + " cannot be read: " + problem,
                    message.message_id);
    return message;
}

Uuid previous_message_id(const Item& row) {
    return Uuid::try_parse(view_of(row, "PreviousMessageId")).value_or(Uuid{});
}

void apply_state(StoredMessage& message, const Item& state) {
    message.attempts = static_cast<int>(integer_of(state, "Attempts"));
    message.replays = static_cast<int>(integer_of(state, "Replays"));
    if (message.is_dispatched())
        return;
    const std::string_view name = view_of(state, "State");
    if (name == "parked")
        message.state = MessageState::parked;
    else if (name == "dead" || name == "skipped")
        message.state = MessageState::dead;
}

const std::string* text_of(const Item& item, std::string_view name) noexcept {
    const auto found = item.find(name);
    return found == item.end() ? nullptr : std::get_if<std::string>(&found->second.value());
}

std::int64_t integer_of(const Item& item, std::string_view name, std::int64_t otherwise) noexcept {
    const auto found = item.find(name);
    const auto* number = found == item.end() ? nullptr : std::get_if<Attribute::Number>(&found->second.value());
    if (!number)
        return otherwise;
    std::int64_t value = otherwise;
    std::from_chars(number->text.data(), number->text.data() + number->text.size(), value);
    return value;
}

bool boolean_of(const Item& item, std::string_view name) noexcept {
    const auto found = item.find(name);
    const auto* value = found == item.end() ? nullptr : std::get_if<bool>(&found->second.value());
    return value && *value;
}

}  // namespace txm::dynamodb::detail
