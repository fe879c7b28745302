#include "brokers/aws/sns.hpp"

#include "brokers/aws/trouble.hpp"
#include "txm/error.hpp"

#include <pugixml.hpp>

#include <charconv>
#include <cstring>

namespace txm::aws::detail {
namespace {

/// A request of the query protocol.
class Form {
public:
    explicit Form(std::string_view action) {
        add("Action", action);
        add("Version", "2010-03-31");
    }

    void reserve(std::size_t size) { text_.reserve(size); }

    void add(std::string_view name, std::string_view value) {
        if (!text_.empty())
            text_ += '&';
        text_ += name;
        text_ += '=';
        for (const char c : value) {
            const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                  c == '-' || c == '_' || c == '.' || c == '~';
            if (is_plain) {
                text_ += c;
                continue;
            }
            constexpr char digits[] = "0123456789ABCDEF";
            const auto byte = static_cast<unsigned char>(c);
            const char escaped[] = {'%', digits[byte >> 4], digits[byte & 15]};
            text_.append(escaped, sizeof escaped);
        }
    }

    std::string take() && { return std::move(text_); }

private:
    std::string text_;
};

/// The element `<ACTIONResult>` of an answer.
class Answer {
public:
    Answer(const std::string& body, const char* action) {
        const auto parsed = document_.load_buffer(body.data(), body.size());
        const pugi::xml_node root = document_.document_element();
        if (!parsed || std::strcmp(root.name(), (std::string(action) + "Response").c_str()) != 0)
            throw Error(Errc::broker_unavailable,
                        "SNS answered what txm does not understand: check that the endpoint is SNS");
        result = root.child((std::string(action) + "Result").c_str());
    }

    pugi::xml_node result;

private:
    pugi::xml_document document_;
};

constexpr auto members = "member";

void add_entry(Form& form, std::size_t index, const WireMessage& message) {
    const std::string entry = "PublishBatchRequestEntries.member." + std::to_string(index + 1) + ".";
    form.add(entry + "Id", std::to_string(index));
    form.add(entry + "Message", message.body);
    for (std::size_t i = 0; i < message.attributes.size(); ++i) {
        const std::string attribute = entry + "MessageAttributes.entry." + std::to_string(i + 1) + ".";
        form.add(attribute + "Name", message.attributes[i].first);
        form.add(attribute + "Value.DataType", "String");
        form.add(attribute + "Value.StringValue", message.attributes[i].second);
    }
    if (!message.group.empty()) {
        form.add(entry + "MessageGroupId", message.group);
        form.add(entry + "MessageDeduplicationId", message.deduplication);
    }
}

}  // namespace

Sns::Sns(const ClientOptions& options)
    : few_failures_(few_failures(options)), client_(options, Service{"sns", "sns", Protocol::query}) {}

awaitable<std::string> Sns::create(std::string name, bool fifo) {
    Form form("CreateTopic");
    form.add("Name", name);
    if (fifo) {
        form.add("Attributes.entry.1.key", "FifoTopic");
        form.add("Attributes.entry.1.value", "true");
    }
    const Response answer = co_await client_.call({}, std::move(form).take());
    const Answer parsed(answer.body, "CreateTopic");
    co_return parsed.result.child_value("TopicArn");
}

awaitable<std::string> Sns::find(std::string name) {
    const std::string end = ":" + name;
    std::string next;
    do {
        Form form("ListTopics");
        if (!next.empty())
            form.add("NextToken", next);
        const Response answer = co_await client_.call({}, std::move(form).take());
        const Answer parsed(answer.body, "ListTopics");
        for (const pugi::xml_node member : parsed.result.child("Topics").children(members)) {
            const std::string arn = member.child_value("TopicArn");
            if (arn.ends_with(end))
                co_return arn;
        }
        next = parsed.result.child_value("NextToken");
    } while (!next.empty());
    co_return std::string{};
}

awaitable<std::vector<EntryResult>> Sns::publish(const std::string& topic_arn,
                                                 std::span<const WireMessage* const> messages) {
    Form form("PublishBatch");
    std::size_t size = 0;
    for (const WireMessage* message : messages)
        size += message->size() + message->size() / 2 + 2'000;
    form.reserve(size);
    form.add("TopicArn", topic_arn);
    for (std::size_t i = 0; i < messages.size(); ++i)
        add_entry(form, i, *messages[i]);
    const std::size_t count = messages.size();
    const Response answer = co_await client_.call({}, std::move(form).take(), few_failures_);

    const Answer parsed(answer.body, "PublishBatch");
    std::vector<EntryResult> results(count);
    const auto entry_of = [&](pugi::xml_node member) -> EntryResult* {
        const std::string_view id = member.child_value("Id");
        std::size_t index = count;
        std::from_chars(id.data(), id.data() + id.size(), index);
        return index < count ? &results[index] : nullptr;
    };
    for (const pugi::xml_node member : parsed.result.child("Successful").children(members))
        if (EntryResult* entry = entry_of(member))
            entry->is_done = true;
    for (const pugi::xml_node member : parsed.result.child("Failed").children(members))
        if (EntryResult* entry = entry_of(member)) {
            entry->is_done = false;
            entry->is_senders_fault = is_senders_fault(std::string_view(member.child_value("SenderFault")) == "true",
                                                       member.child_value("Code"));
            entry->is_postponed = is_others_fault(member.child_value("Code"));
            entry->why = std::string(member.child_value("Code")) + ": " + member.child_value("Message");
        }
    co_return results;
}

awaitable<std::string> Sns::find_subscription(std::string topic_arn, std::string queue_arn) {
    std::string next;
    do {
        Form form("ListSubscriptionsByTopic");
        form.add("TopicArn", topic_arn);
        if (!next.empty())
            form.add("NextToken", next);
        const Response answer = co_await client_.call({}, std::move(form).take());
        const Answer parsed(answer.body, "ListSubscriptionsByTopic");
        for (const pugi::xml_node member : parsed.result.child("Subscriptions").children(members)) {
            // `Deleted` and `PendingConfirmation` are none.
            const std::string arn = member.child_value("SubscriptionArn");
            if (queue_arn == member.child_value("Endpoint") && arn.starts_with("arn:"))
                co_return arn;
        }
        next = parsed.result.child_value("NextToken");
    } while (!next.empty());
    co_return std::string{};
}

awaitable<std::string> Sns::subscribe(std::string topic_arn, std::string queue_arn) {
    Form form("Subscribe");
    form.add("TopicArn", topic_arn);
    form.add("Protocol", "sqs");
    form.add("Endpoint", queue_arn);
    form.add("ReturnSubscriptionArn", "true");
    form.add("Attributes.entry.1.key", "RawMessageDelivery");
    form.add("Attributes.entry.1.value", "true");
    const Response answer = co_await client_.call({}, std::move(form).take());
    const Answer parsed(answer.body, "Subscribe");
    co_return parsed.result.child_value("SubscriptionArn");
}

awaitable<QueueAttributes> Sns::subscription_attributes(std::string subscription_arn) {
    Form form("GetSubscriptionAttributes");
    form.add("SubscriptionArn", subscription_arn);
    const Response answer = co_await client_.call({}, std::move(form).take());
    const Answer parsed(answer.body, "GetSubscriptionAttributes");
    QueueAttributes attributes;
    for (const pugi::xml_node entry : parsed.result.child("Attributes").children("entry"))
        attributes.emplace(entry.child_value("key"), entry.child_value("value"));
    co_return attributes;
}

}  // namespace txm::aws::detail
