#include "core/message_json.hpp"

#include "core/headers_json.hpp"
#include "core/json_text.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace txm::detail {

namespace {

enum Key : std::size_t {
    topic,
    aggregate_id,
    payload,
    message_id,
    correlation_id,
    type,
    created_at,
    headers,
    sequence,
    stored_at,
    state,
    key_count,
};

constexpr std::array<std::string_view, key_count> key_names{
    "topic",      "aggregate_id", "payload",  "message_id", "correlation_id", "type",
    "created_at", "headers",      "sequence", "stored_at",  "state"};

[[noreturn]] void refuse(const std::string& why) {
    throw Error(Errc::invalid_message, why);
}

std::string quoted(std::string_view key) {
    return "\"" + std::string(key) + "\"";
}

// The source text of each key's value; empty where the key is missing.
using Fields = std::array<std::string_view, key_count>;

Fields read_fields(std::string_view text) {
    Fields fields;
    json::Cursor in{text};
    if (!in.take('{'))
        refuse("not a message: expected a JSON object like {\"topic\":…,\"aggregate_id\":…,\"payload\":…}");
    for (bool more = !in.take('}'); more;) {
        const std::string name = json::unquote(in.string());
        const auto found = std::find(key_names.begin(), key_names.end(), name);
        if (found == key_names.end())
            refuse(
                "unknown key " + quoted(name) +
                ": a message has topic, aggregate_id, payload, message_id, correlation_id, type, created_at, headers");
        in.expect(':');
        std::string_view& field = fields[static_cast<std::size_t>(found - key_names.begin())];
        if (!field.empty())
            refuse("the key " + quoted(name) + " is given twice");
        field = in.value();
        more = in.take(',');
        if (!more)
            in.expect('}');
    }
    in.expect_end();
    return fields;
}

std::optional<std::string> text_of(const Fields& fields, Key key) {
    if (fields[key].empty())
        return std::nullopt;
    if (fields[key].front() != '"')
        refuse("the value of " + quoted(key_names[key]) + " is not a string");
    return json::unquote(fields[key]);
}

std::string required_text(const Fields& fields, Key key) {
    auto text = text_of(fields, key);
    if (!text)
        refuse("the key " + quoted(key_names[key]) + " is missing");
    return *std::move(text);
}

std::optional<Uuid> uuid_of(const Fields& fields, Key key) {
    const auto text = text_of(fields, key);
    if (!text)
        return std::nullopt;
    const auto id = Uuid::try_parse(*text);
    if (!id)
        refuse("the value of " + quoted(key_names[key]) + " is not a UUID: \"" + text->substr(0, 64) + "\"");
    return id;
}

void append_field(std::string& out, Key key, std::string_view value) {
    out += out.back() == '{' ? "\"" : ",\"";
    out += key_names[key];
    out += "\":";
    json::append_quoted(out, value);
}

}  // namespace

StoredMessage message_from_json(std::string_view text) {
    const Fields fields = read_fields(text);
    StoredMessage message;
    message.topic = required_text(fields, topic);
    message.aggregate_id = required_text(fields, aggregate_id);
    if (fields[payload].empty())
        refuse("the key " + quoted(key_names[payload]) + " is missing");
    message.payload = fields[payload].front() == '"' ? json::unquote(fields[payload]) : std::string(fields[payload]);
    message.message_id = uuid_of(fields, message_id).value_or(Uuid{});
    if (fields[message_id].empty())
        message.message_id = new_uuid();
    message.correlation_id = uuid_of(fields, correlation_id).value_or(Uuid{});
    if (message.correlation_id.is_nil())
        message.correlation_id = message.message_id;
    message.type = text_of(fields, type).value_or("");
    if (const auto time = text_of(fields, created_at)) {
        const auto parsed = try_parse_iso8601(*time);
        if (!parsed)
            refuse("the value of " + quoted(key_names[created_at]) + " is not an ISO 8601 time: \"" +
                   time->substr(0, 64) + "\"");
        message.created_at = *parsed;
    } else {
        message.created_at = now();
    }
    if (!fields[headers].empty())
        message.headers = headers_from_json(fields[headers]);
    return message;
}

void append_message_json(std::string& out, const StoredMessage& message) {
    out += '{';
    append_field(out, message_id, message.message_id.to_string());
    append_field(out, aggregate_id, message.aggregate_id.str());
    append_field(out, correlation_id, message.correlation_id.to_string());
    append_field(out, topic, message.topic);
    append_field(out, type, message.type);
    append_field(out, payload, message.payload);
    out += ",\"headers\":";
    append_headers_json(out, message.headers);
    append_field(out, created_at, to_iso8601(message.created_at));
    append_field(out, stored_at, to_iso8601(message.stored_at));
    out += ",\"sequence\":";
    out += std::to_string(message.sequence);
    append_field(out, state, to_string(message.state));
    out += '}';
}

std::string message_to_json(const StoredMessage& message) {
    std::string out;
    append_message_json(out, message);
    return out;
}

}  // namespace txm::detail
