#include "brokers/aws/sqs.hpp"

#include "brokers/aws/text.hpp"
#include "brokers/aws/trouble.hpp"
#include "txm/error.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

namespace txm::aws::detail {
namespace {

namespace json = boost::json;

[[noreturn]] void fail_unreadable(const std::string& why) {
    throw Error(Errc::broker_unavailable,
                "SQS answered what txm does not understand (" + why + "): check that the endpoint is SQS");
}

json::object parsed(const std::string& body) {
    boost::system::error_code error;
    json::value value = json::parse(body.empty() ? "{}" : body, error);
    if (error || !value.is_object())
        fail_unreadable("no JSON object");
    return std::move(value.get_object());
}

std::string text(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (!value || !value->is_string())
        return {};
    return std::string(value->get_string());
}

const json::array* list(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    return value ? value->if_array() : nullptr;
}

void append(std::string& body, std::string_view name, std::string_view value) {
    body += body.empty() ? '{' : ',';
    append_quoted(body, name);
    body += ':';
    append_quoted(body, value);
}

std::string request_for(const std::string& url) {
    std::string body;
    append(body, "QueueUrl", url);
    return body;
}

void append_attributes(std::string& body, const QueueAttributes& attributes) {
    if (attributes.empty())
        return;
    std::string object;
    for (const auto& [name, value] : attributes)
        append(object, name, value);
    body += ",\"Attributes\":" + object + "}";
}

void append_entry(std::string& body, std::size_t id, const WireMessage& message) {
    body += id == 0 ? "{\"Id\":\"" : ",{\"Id\":\"";
    body += std::to_string(id);
    body += "\",\"MessageBody\":";
    append_quoted(body, message.body);
    body += ",\"MessageAttributes\":{";
    for (const auto& [name, value] : message.attributes) {
        if (&name != &message.attributes.front().first)
            body += ',';
        append_quoted(body, name);
        body += ":{\"DataType\":\"String\",\"StringValue\":";
        append_quoted(body, value);
        body += '}';
    }
    body += '}';
    if (!message.group.empty()) {
        append(body, "MessageGroupId", message.group);
        append(body, "MessageDeduplicationId", message.deduplication);
    }
    body += '}';
}

std::vector<EntryResult> results(const std::string& answer, std::size_t count) {
    std::vector<EntryResult> out(count);
    const json::object object = parsed(answer);
    const auto entry_of = [&](const json::value& value) -> EntryResult* {
        if (!value.is_object())
            return nullptr;
        const std::string id = text(value.get_object(), "Id");
        std::size_t index = count;
        std::from_chars(id.data(), id.data() + id.size(), index);
        return index < count ? &out[index] : nullptr;
    };
    if (const json::array* done = list(object, "Successful"))
        for (const json::value& value : *done)
            if (EntryResult* entry = entry_of(value))
                entry->is_done = true;
    if (const json::array* failed = list(object, "Failed"))
        for (const json::value& value : *failed)
            if (EntryResult* entry = entry_of(value)) {
                const json::object& fields = value.get_object();
                const json::value* fault = fields.if_contains("SenderFault");
                entry->is_done = false;
                entry->is_senders_fault =
                    is_senders_fault(fault && fault->is_bool() && fault->get_bool(), text(fields, "Code"));
                entry->is_postponed = is_others_fault(text(fields, "Code"));
                entry->why = text(fields, "Code") + ": " + text(fields, "Message");
            }
    return out;
}

Timestamp time_of(const std::string& milliseconds) {
    std::int64_t value = 0;
    std::from_chars(milliseconds.data(), milliseconds.data() + milliseconds.size(), value);
    return Timestamp{std::chrono::milliseconds{value}};
}

Received received(const json::object& fields) {
    Received message;
    message.id = text(fields, "MessageId");
    message.receipt = text(fields, "ReceiptHandle");
    message.body = text(fields, "Body");
    if (const json::value* system = fields.if_contains("Attributes"); system && system->is_object()) {
        const json::object& known = system->get_object();
        message.group = text(known, "MessageGroupId");
        message.sent_at = time_of(text(known, "SentTimestamp"));
        const std::string count = text(known, "ApproximateReceiveCount");
        std::from_chars(count.data(), count.data() + count.size(), message.count);
    }
    if (const json::value* own = fields.if_contains("MessageAttributes"); own && own->is_object())
        for (const auto& [name, value] : own->get_object())
            if (value.is_object() && value.get_object().contains("StringValue"))
                message.attributes.emplace_back(std::string(name), text(value.get_object(), "StringValue"));
    return message;
}

}  // namespace

CallOptions few_attempts(const ClientOptions& options) {
    CallOptions result;
    result.max_attempts = std::min(options.max_attempts, 3);
    return result;
}

CallOptions few_failures(const ClientOptions& options) {
    CallOptions result = few_attempts(options);
    result.bears_throttling = true;
    return result;
}

Sqs::Sqs(const ClientOptions& options)
    : few_attempts_(few_attempts(options)),
      few_failures_(few_failures(options)),
      client_(options, Service{"sqs", "sqs", Protocol::json_1_0}) {}

awaitable<std::string> Sqs::find(std::string name) {
    std::string body;
    append(body, "QueueName", name);
    body += '}';
    const Response answer = co_await client_.call("AmazonSQS.GetQueueUrl", std::move(body));
    std::string url = text(parsed(answer.body), "QueueUrl");
    if (url.empty())
        fail_unreadable("no QueueUrl");
    co_return url;
}

awaitable<std::string> Sqs::create(std::string name, QueueAttributes attributes) {
    std::string body;
    append(body, "QueueName", name);
    append_attributes(body, attributes);
    body += '}';
    const Response answer = co_await client_.call("AmazonSQS.CreateQueue", std::move(body));
    std::string url = text(parsed(answer.body), "QueueUrl");
    if (url.empty())
        fail_unreadable("no QueueUrl");
    co_return url;
}

awaitable<QueueAttributes> Sqs::attributes(std::string url) {
    std::string body = request_for(url) + ",\"AttributeNames\":[\"All\"]}";
    const Response answer = co_await client_.call("AmazonSQS.GetQueueAttributes", std::move(body));
    const json::object object = parsed(answer.body);
    QueueAttributes result;
    if (const json::value* all = object.if_contains("Attributes"); all && all->is_object())
        for (const auto& [name, value] : all->get_object())
            if (value.is_string())
                result.emplace(std::string(name), std::string(value.get_string()));
    co_return result;
}

awaitable<void> Sqs::set_attributes(std::string url, QueueAttributes attributes) {
    std::string body = request_for(url);
    append_attributes(body, attributes);
    body += '}';
    co_await client_.call("AmazonSQS.SetQueueAttributes", std::move(body));
}

awaitable<std::vector<EntryResult>> Sqs::send(const std::string& url, std::span<const WireMessage* const> messages) {
    std::size_t size = 0;
    for (const WireMessage* message : messages)
        size += message->size() + message->size() / 8 + 400;
    std::string body;
    body.reserve(size);
    append(body, "QueueUrl", url);
    body += ",\"Entries\":[";
    for (std::size_t i = 0; i < messages.size(); ++i)
        append_entry(body, i, *messages[i]);
    body += "]}";
    const std::size_t count = messages.size();
    const Response answer = co_await client_.call("AmazonSQS.SendMessageBatch", std::move(body), few_failures_);
    co_return results(answer.body, count);
}

awaitable<std::vector<Received>> Sqs::receive(const std::string& url, ReceiveRequest request) {
    std::string body = request_for(url);
    body += ",\"MaxNumberOfMessages\":" + std::to_string(request.max);
    body += ",\"WaitTimeSeconds\":" + std::to_string(request.wait.count());
    body += ",\"VisibilityTimeout\":" + std::to_string(request.visibility.count());
    body += R"(,"MessageAttributeNames":["All"],"MessageSystemAttributeNames":)"
            R"(["ApproximateReceiveCount","SentTimestamp","MessageGroupId"])";
    if (!request.attempt_id.empty())
        append(body, "ReceiveRequestAttemptId", request.attempt_id);
    body += '}';
    CallOptions options = few_attempts_;
    options.timeout = request.wait + std::chrono::seconds{10};
    const Response answer = co_await client_.call("AmazonSQS.ReceiveMessage", std::move(body), options);
    const json::object object = parsed(answer.body);
    std::vector<Received> messages;
    if (const json::array* all = list(object, "Messages"))
        for (const json::value& value : *all)
            if (value.is_object())
                messages.push_back(received(value.get_object()));
    co_return messages;
}

awaitable<std::vector<EntryResult>> Sqs::erase(const std::string& url, std::span<const std::string> receipts) {
    std::string body = request_for(url) + ",\"Entries\":[";
    for (std::size_t i = 0; i < receipts.size(); ++i) {
        body += i == 0 ? "{\"Id\":\"" : ",{\"Id\":\"";
        body += std::to_string(i) + '"';
        append(body, "ReceiptHandle", receipts[i]);
        body += '}';
    }
    body += "]}";
    const std::size_t count = receipts.size();
    const Response answer = co_await client_.call("AmazonSQS.DeleteMessageBatch", std::move(body), few_attempts_);
    co_return results(answer.body, count);
}

awaitable<std::vector<EntryResult>> Sqs::hide(const std::string& url, std::span<const std::string> receipts,
                                              std::chrono::seconds time, CallOptions options) {
    std::string body = request_for(url) + ",\"Entries\":[";
    for (std::size_t i = 0; i < receipts.size(); ++i) {
        body += i == 0 ? "{\"Id\":\"" : ",{\"Id\":\"";
        body += std::to_string(i) + '"';
        append(body, "ReceiptHandle", receipts[i]);
        body += ",\"VisibilityTimeout\":" + std::to_string(time.count()) + "}";
    }
    body += "]}";
    const std::size_t count = receipts.size();
    const Response answer = co_await client_.call("AmazonSQS.ChangeMessageVisibilityBatch", std::move(body), options);
    co_return results(answer.body, count);
}

}  // namespace txm::aws::detail
