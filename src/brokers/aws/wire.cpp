#include "brokers/aws/wire.hpp"

#include "brokers/aws/envelope.hpp"
#include "brokers/aws/names.hpp"
#include "brokers/aws/text.hpp"
#include "core/headers_json.hpp"
#include "core/json_text.hpp"
#include "txm/error.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace txm::aws::detail {
namespace {

constexpr std::string_view rest_of_headers = "txm-headers";

// What `payload-encoding` says of the body. Absent: the body is the payload.
constexpr std::string_view as_base64 = "base64";
constexpr std::string_view as_empty = "empty";  // SQS takes no empty body
constexpr std::string_view as_tomodachi = "tomodachi";
constexpr std::string_view as_tomodachi_text = "tomodachi-text";

constexpr std::array<std::string_view, 9> own_names{"message-id", "aggregate-id", "correlation-id", "type",   "topic",
                                                    "created-at", "stored-at",    "sequence",       "replays"};

bool is_own(std::string_view name) noexcept {
    return name == "payload-encoding" || std::ranges::find(own_names, name) != own_names.end();
}

/// Writes a JSON object of strings.
class Fields {
public:
    void add(std::string_view name, std::string_view value) {
        text_ += text_.empty() ? '{' : ',';
        append_quoted(text_, name);
        text_ += ':';
        append_quoted(text_, value);
    }

    std::string take() && {
        text_ += '}';
        return std::move(text_);
    }

private:
    std::string text_;
};

std::string_view put_body(const StoredMessage& message, const BrokerOptions& options, std::string& body) {
    if (options.envelope == Envelope::tomodachi) {
        Wrapped wrapped = wrap_for_tomodachi(message);
        body = std::move(wrapped.body);
        return wrapped.is_text ? as_tomodachi_text : as_tomodachi;
    }
    if (message.payload.empty()) {
        body = "-";
        return as_empty;
    }
    if (!is_allowed(message.payload)) {
        body = base64(message.payload);
        return as_base64;
    }
    body = message.payload;
    return {};
}

template <class Number>
std::optional<Number> number(std::string_view text) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

/// What an SNS notification holds, when a subscription does not deliver raw.
struct Notification {
    std::string id, message;
    Attributes attributes;
};

std::optional<Notification> unwrap_notification(std::string_view body) {
    if (!body.starts_with('{') || body.find("\"Notification\"") == std::string_view::npos)
        return std::nullopt;
    boost::json::error_code error;
    const boost::json::value value = boost::json::parse(body, error);
    const auto* object = error ? nullptr : value.if_object();
    if (!object)
        return std::nullopt;
    const auto text = [object](const char* name) -> const boost::json::string* {
        const auto* found = object->if_contains(name);
        return found ? found->if_string() : nullptr;
    };
    const auto *type = text("Type"), *topic = text("TopicArn"), *message = text("Message"), *id = text("MessageId");
    if (!type || *type != "Notification" || !topic || !message || !id)
        return std::nullopt;
    Notification result;
    result.id.assign(id->data(), id->size());
    result.message.assign(message->data(), message->size());
    const auto* attributes = object->if_contains("MessageAttributes");
    if (!attributes || !attributes->is_object())
        return result;
    for (const auto& [name, attribute] : attributes->get_object()) {
        const auto* fields = attribute.if_object();
        const auto* content = fields ? fields->if_contains("Value") : nullptr;
        if (content && content->is_string())
            result.attributes.emplace_back(std::string(name), std::string(content->get_string()));
    }
    return result;
}

/// Fields and headers by name, from attributes and from `txm-headers`.
Headers collect(Attributes attributes, bool& is_own_message) {
    Headers headers;
    is_own_message = false;
    for (auto& [name, value] : attributes) {
        if (name != rest_of_headers) {
            headers.insert_or_assign(std::move(name), std::move(value));
            continue;
        }
        try {
            headers.merge(txm::detail::headers_from_json(value));
            is_own_message = true;
        } catch (const Error&) {
            headers.insert_or_assign(std::move(name), std::move(value));  // somebody else's
        }
    }
    return headers;
}

std::string take(Headers& headers, std::string_view name) {
    const auto found = headers.find(name);
    if (found == headers.end())
        return {};
    std::string value = std::move(found->second);
    headers.erase(found);
    return value;
}

// User headers of names that are txm's own, or that look like such ones, travel with a `~` before them.
Headers without_marks(Headers headers) {
    Headers result;
    while (!headers.empty()) {
        auto node = headers.extract(headers.begin());
        if (node.key().starts_with('~'))
            node.key().erase(0, 1);
        result.insert(std::move(node));
    }
    return result;
}

std::string text_of_data(const std::string& source) {
    return source.starts_with('"') ? txm::detail::json::unquote(source) : source;
}

void read_body(StoredMessage& message, std::string body, bool is_own_message, std::string_view encoding) {
    if (is_own_message && encoding.empty()) {
        message.payload = std::move(body);
        return;
    }
    if (encoding == as_empty)
        return;
    if (encoding == as_base64) {
        auto payload = from_base64(body);
        message.payload = payload ? std::move(*payload) : std::move(body);
        return;
    }
    std::optional<Unwrapped> envelope;
    try {
        envelope = unwrap_tomodachi(body);
        if (envelope && encoding != as_tomodachi)
            envelope->data = text_of_data(envelope->data);
    } catch (const Error&) {
        envelope = std::nullopt;  // the consumer makes a dead letter of it, with the body to look at
    }
    if (!envelope) {
        message.payload = std::move(body);
        return;
    }
    message.payload = std::move(envelope->data);
    if (message.message_id.is_nil())
        message.message_id = envelope->message_id;
    if (message.created_at == Timestamp{} && envelope->created_at)
        message.created_at = *envelope->created_at;
}

}  // namespace

std::size_t WireMessage::size() const noexcept {
    std::size_t sum = body.size();
    for (const auto& [name, value] : attributes)
        sum += name.size() + std::string_view("String").size() + value.size();
    return sum;
}

WireMessage to_wire(const StoredMessage& message, const BrokerOptions& options) {
    WireMessage wire;
    Fields fields;
    const auto attribute = [&](std::string_view name, std::string_view value) {
        if (value.empty())
            return;
        if (is_allowed(value))
            wire.attributes.emplace_back(name, value);
        else
            fields.add(name, value);  // JSON escapes it
    };
    wire.attributes.reserve(6);
    attribute("message-id", message.message_id.to_string());
    attribute("aggregate-id", message.aggregate_id.str());
    const bool has_correlation = !message.correlation_id.is_nil();
    attribute("correlation-id", (has_correlation ? message.correlation_id : message.message_id).to_string());
    attribute("type", message.type);
    attribute("topic", message.topic);

    fields.add("created-at", to_iso8601(message.created_at));
    fields.add("stored-at", to_iso8601(message.stored_at));
    fields.add("sequence", std::to_string(message.sequence));
    if (message.replays > 0)
        fields.add("replays", std::to_string(message.replays));
    const std::string_view encoding = put_body(message, options, wire.body);
    if (!encoding.empty())
        fields.add("payload-encoding", encoding);
    for (const auto& [name, value] : message.headers)
        fields.add(is_own(name) || name.starts_with('~') ? "~" + name : name, value);
    wire.attributes.emplace_back(rest_of_headers, std::move(fields).take());

    if (options.fifo) {
        wire.group = group_of(message.aggregate_id);
        wire.deduplication = deduplication_id(message);
    }
    return wire;
}

Delivery from_wire(Received received, const std::string& topic) {
    // A namespace of txm's own, so that the ids cannot meet those that somebody else derives.
    static const Uuid foreign = Uuid::parse("0d0f7e5a-55a8-5b0c-9d5e-6f0cf1b3a7c4");

    Delivery delivery;
    StoredMessage& m = delivery.message;
    std::string foreign_id = "sqs/" + received.id;
    const bool is_raw = std::ranges::any_of(received.attributes, [](const auto& a) { return a.first == "message-id"; });
    if (!is_raw) {
        if (auto notification = unwrap_notification(received.body)) {
            received.body = std::move(notification->message);
            received.attributes = std::move(notification->attributes);
            foreign_id = "sns/" + notification->id;
        }
    }
    bool is_own_message = false;
    Headers headers = collect(std::move(received.attributes), is_own_message);

    m.topic = topic;
    take(headers, "topic");
    m.message_id = Uuid::try_parse(take(headers, "message-id")).value_or(Uuid{});
    m.aggregate_id = AggregateId(take(headers, "aggregate-id"));
    m.correlation_id = Uuid::try_parse(take(headers, "correlation-id")).value_or(Uuid{});
    m.type = take(headers, "type");
    m.created_at = try_parse_iso8601(take(headers, "created-at")).value_or(Timestamp{});
    m.stored_at = try_parse_iso8601(take(headers, "stored-at")).value_or(received.sent_at);
    m.sequence = number<Sequence>(take(headers, "sequence")).value_or(0);
    m.replays = number<int>(take(headers, "replays")).value_or(0);
    std::string encoding;
    if (is_own_message)
        encoding = take(headers, "payload-encoding");
    m.headers = without_marks(std::move(headers));
    read_body(m, std::move(received.body), is_own_message, encoding);

    if (m.message_id.is_nil())
        m.message_id = derived_uuid(foreign, foreign_id);
    if (m.correlation_id.is_nil())
        m.correlation_id = m.message_id;
    if (m.aggregate_id.str().empty())
        m.aggregate_id = received.group.empty() ? AggregateId(m.message_id) : AggregateId(std::move(received.group));
    if (m.created_at == Timestamp{})
        m.created_at = received.sent_at;

    delivery.attempt = received.count;
    delivery.redelivered = received.count > 1;
    delivery.replay = m.replays > 0;
    return delivery;
}

}  // namespace txm::aws::detail
