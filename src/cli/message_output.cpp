#include "cli/message_output.hpp"

#include "core/headers_json.hpp"
#include "core/json_text.hpp"
#include "core/message_json.hpp"

namespace txm::cli {

namespace {

// What an operator sees besides the message itself, as more keys of its JSON object.
void append_key(std::string& json, std::string_view key, std::string_view source) {
    json.pop_back();
    json.append(json.back() == '{' ? "\"" : ",\"").append(key).append("\":").append(source).append(1, '}');
}

std::string quoted(std::string_view text) {
    std::string out;
    detail::json::append_quoted(out, text);
    return out;
}

std::string optional_time(const std::optional<Timestamp>& time) {
    return time ? to_iso8601(*time) : std::string();
}

void append_failure(std::string& json, int attempts, const std::string& reason, const std::optional<Timestamp>& next,
                    bool held) {
    append_key(json, "attempts", std::to_string(attempts));
    append_key(json, "reason", reason.empty() ? "null" : quoted(reason));
    append_key(json, "next_attempt_at", next ? quoted(to_iso8601(*next)) : "null");
    append_key(json, "held", held ? "true" : "false");
}

}  // namespace

MessageOutput::MessageOutput(bool json, bool full, bool inbox) : json_(json), full_(full) {
    if (json || full)
        return;
    if (inbox)
        table_ = Table{"MESSAGE", "STATE", ">ATTEMPTS", "TOPIC", "AGGREGATE", "HANDLED", "REASON"};
    else
        table_ = Table{">SEQUENCE", "MESSAGE", "STATE", ">ATTEMPTS", "TOPIC", "AGGREGATE", "STORED", "REASON"};
}

void MessageOutput::add(const ListedMessage& item) {
    const StoredMessage& m = item.message;
    if (json_) {
        std::string line = detail::message_to_json(m);
        append_failure(line, m.attempts, item.reason, item.next_attempt_at, item.held);
        append_key(line, "replays", std::to_string(m.replays));
        append_key(line, "approximate_dispatch_count", std::to_string(m.approximate_dispatch_count));
        append_key(line, "last_dispatched_at",
                   m.last_dispatched_at ? quoted(to_iso8601(*m.last_dispatched_at)) : "null");
        write_result(line + "\n");
    } else if (full_) {
        add_block(&m);
        add_field("state", std::string(to_string(m.state)) + (item.held ? " (holds its aggregate)" : ""));
        add_field("attempts", std::to_string(m.attempts));
        add_field("replays", std::to_string(m.replays));
        add_field("dispatch count", std::to_string(m.approximate_dispatch_count));
        add_field("last dispatched", optional_time(m.last_dispatched_at));
        add_field("next attempt", optional_time(item.next_attempt_at));
        add_field("reason", item.reason);
        add_field("payload", m.payload);
    } else {
        table_->add({std::to_string(m.sequence), m.message_id.to_string(),
                     std::string(to_string(m.state)) + (item.held ? "*" : ""), std::to_string(m.attempts),
                     shortened(m.topic, 32), shortened(m.aggregate_id.str(), 40), to_iso8601(m.stored_at),
                     shortened_middle(item.reason, 70)});
    }
}

void MessageOutput::add(const ListedDelivery& item) {
    if (json_) {
        std::string line = item.message ? detail::message_to_json(*item.message)
                                        : "{\"message_id\":" + quoted(item.message_id.to_string()) + "}";
        append_key(line, "consumer", quoted(item.consumer));
        append_key(line, "inbox_state", quoted(item.state));
        append_key(line, "handled_at", quoted(to_iso8601(item.created_at)));
        append_failure(line, item.attempts, item.reason, item.next_attempt_at, item.held);
        write_result(line + "\n");
    } else if (full_) {
        add_block(item.message ? &*item.message : nullptr);
        if (!item.message)
            add_field("message_id", item.message_id.to_string());
        add_field("consumer", item.consumer);
        add_field("inbox state", item.state + (item.held ? " (holds its aggregate)" : ""));
        add_field("handled", to_iso8601(item.created_at));
        add_field("attempts", std::to_string(item.attempts));
        add_field("next attempt", optional_time(item.next_attempt_at));
        add_field("reason", item.reason);
        if (item.message)
            add_field("payload", item.message->payload);
    } else {
        const std::string topic = item.message ? item.message->topic : "";
        const std::string aggregate = item.message ? item.message->aggregate_id.str() : "";
        table_->add({item.message_id.to_string(), item.state + (item.held ? "*" : ""), std::to_string(item.attempts),
                     shortened(topic, 32), shortened(aggregate, 40), to_iso8601(item.created_at),
                     shortened_middle(item.reason, 70)});
    }
}

void MessageOutput::finish() {
    if (table_)
        table_->finish();
}

void MessageOutput::add_block(const StoredMessage* message) {
    if (!is_first_)
        write_result("\n");
    is_first_ = false;
    if (!message)
        return;
    add_field("message_id", message->message_id.to_string());
    add_field("sequence", std::to_string(message->sequence));
    add_field("topic", message->topic);
    add_field("type", message->type);
    add_field("aggregate_id", message->aggregate_id.str());
    add_field("correlation_id", message->correlation_id.to_string());
    add_field("created", to_iso8601(message->created_at));
    add_field("stored", to_iso8601(message->stored_at));
    if (!message->headers.empty())
        add_field("headers", detail::headers_to_json(message->headers));
}

void MessageOutput::add_field(std::string_view name, const std::string& value) {
    if (value.empty())
        return;
    std::string line{name};
    line.append(name.size() < 16 ? 16 - name.size() : 1, ' ').append(value).append(1, '\n');
    write_result(line);
}

}  // namespace txm::cli
