#include "brokers/aws/setup.hpp"

#include "brokers/aws/names.hpp"
#include "brokers/aws/text.hpp"
#include "brokers/aws/trouble.hpp"
#include "core/fault_point.hpp"
#include "txm/error.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json.hpp>

#include <charconv>
#include <chrono>

namespace txm::aws::detail {
namespace {

namespace json = boost::json;

// Receives per attempt: what a process that is killed, or a visibility that ran out, may use up.
constexpr int receives_per_attempt = 10;
constexpr int looks_at_new_queue = 25;

std::string attribute(const QueueAttributes& attributes, std::string_view name) {
    const auto found = attributes.find(name);
    return found == attributes.end() ? std::string{} : found->second;
}

// SQS moves a message to the dead-letter queue after so many receives, whoever was killed meanwhile; on FIFO queues that also
// lets the next message of its aggregate pass.
void check_redrive_policy(const std::string& name, const QueueAttributes& attributes, int max_attempts) {
    const std::string policy = attribute(attributes, "RedrivePolicy");
    if (policy.empty())
        return;
    boost::system::error_code error;
    const json::value value = json::parse(policy, error);
    const json::value* count =
        error || !value.is_object() ? nullptr : value.get_object().if_contains("maxReceiveCount");
    std::int64_t receives = 0;
    if (count && count->is_string())
        std::from_chars(count->get_string().begin(), count->get_string().end(), receives);
    else if (count && count->is_int64())
        receives = count->get_int64();
    const std::int64_t needed = std::int64_t{receives_per_attempt} * max_attempts;
    if (receives >= needed)
        return;
    throw Error(Errc::invalid_configuration,
                "the redrive policy of queue " + name + " gives a message up after " + std::to_string(receives) +
                    " receives, which kills alone can use up: set its maxReceiveCount to at least " +
                    std::to_string(needed) + " (ten times the consumer's max_attempts), or remove the policy");
}

bool allows(const std::string& policy, const std::string& topic_arn) {
    std::string quoted;
    append_quoted(quoted, topic_arn);
    return policy.find(quoted) != std::string::npos;
}

// Keeps what the policy says already.
std::string with_permission(const std::string& policy, const std::string& queue_arn, const std::string& topic_arn) {
    json::value value;
    if (!policy.empty()) {
        boost::system::error_code error;
        value = json::parse(policy, error);
    }
    if (!value.is_object())
        value = json::object{{"Version", "2012-10-17"}};
    json::value& statements = value.get_object()["Statement"];
    if (statements.is_object())
        statements = json::array{std::move(statements)};
    else if (!statements.is_array())
        statements = json::array{};
    json::object source{{"aws:SourceArn", topic_arn}};
    json::object condition{{"ArnEquals", std::move(source)}};
    json::object principal{{"Service", "sns.amazonaws.com"}};
    statements.get_array().push_back(json::object{{"Effect", "Allow"},
                                                  {"Principal", std::move(principal)},
                                                  {"Action", "sqs:SendMessage"},
                                                  {"Resource", queue_arn},
                                                  {"Condition", std::move(condition)}});
    return json::serialize(value);
}

// A standard queue of this consumer behind a FIFO topic would get the messages without their order, and twice.
void refuse_standard_queue(const std::string& topic_arn, const std::string& queue_arn) {
    throw Error(Errc::invalid_configuration,
                "the queue " + queue_arn + " is a standard one, but is subscribed to the FIFO topic " + topic_arn +
                    ", whose order it would lose: unsubscribe it; txm makes a FIFO queue");
}

// SQS says for a second or so that a queue that was just made does not exist.
awaitable<QueueAttributes> attributes_of(Sqs& sqs, const BrokerOptions& options, std::string url) {
    boost::asio::steady_timer pause{co_await boost::asio::this_coro::executor};
    for (int left = options.create ? looks_at_new_queue : 0;; --left) {
        std::exception_ptr problem;
        QueueAttributes attributes;
        try {
            attributes = co_await sqs.attributes(url);
        } catch (...) {
            problem = std::current_exception();
        }
        if (!problem)
            co_return attributes;
        if (left == 0 || !is_missing(problem))
            std::rethrow_exception(problem);
        pause.expires_after(std::chrono::milliseconds{200});
        co_await pause.async_wait(boost::asio::use_awaitable);
    }
}

awaitable<void> connect(Sqs& sqs, Sns& sns, const SubscriptionOptions& options, std::string topic, std::string url,
                        QueueAttributes attributes) {
    const std::string queue_arn = attribute(attributes, "QueueArn");
    const std::string topic_arn = co_await find_topic(sns, options.broker, topic_name(options.broker, topic));
    if (options.broker.fifo) {
        constexpr std::string_view suffix = ".fifo";
        const std::string standard = queue_arn.substr(0, queue_arn.size() - suffix.size());
        const std::string found = co_await sns.find_subscription(topic_arn, standard);
        if (!found.empty())
            refuse_standard_queue(topic_arn, standard);
    }
    const std::string policy = attribute(attributes, "Policy");
    if (!allows(policy, topic_arn)) {
        QueueAttributes changed;
        changed.emplace("Policy", with_permission(policy, queue_arn, topic_arn));
        fault::point("aws.before_policy");
        co_await sqs.set_attributes(url, std::move(changed));
    }
    // Looked up first: a subscription that somebody made otherwise, not raw or with a filter, stays as it is.
    const std::string known = co_await sns.find_subscription(topic_arn, queue_arn);
    if (known.empty()) {
        fault::point("aws.before_subscribe");
        co_await sns.subscribe(topic_arn, queue_arn);
    }
}

}  // namespace

awaitable<std::string> find_queue(Sqs& sqs, const BrokerOptions& options, std::string name) {
    std::exception_ptr problem;
    std::string url;
    try {
        url = co_await sqs.find(name);
    } catch (...) {
        problem = std::current_exception();
    }
    if (!problem)
        co_return url;
    if (!options.create || !is_missing(problem))
        std::rethrow_exception(problem);
    QueueAttributes attributes;
    // The longest there is: what a consumer that is away does not fetch in time is lost.
    attributes.emplace("MessageRetentionPeriod", "1209600");
    if (options.fifo) {
        attributes.emplace("FifoQueue", "true");
        // Deduplication and throughput by aggregate, which is all that is needed, lift the limit of 300 requests a second.
        attributes.emplace("DeduplicationScope", "messageGroup");
        attributes.emplace("FifoThroughputLimit", "perMessageGroupId");
    }
    fault::point("aws.before_create");
    std::exception_ptr refusal;
    try {
        url = co_await sqs.create(name, std::move(attributes));
    } catch (...) {
        refusal = std::current_exception();
    }
    if (!refusal)
        co_return url;
    if (!is_refusal(refusal))
        std::rethrow_exception(refusal);
    // Somebody has just made one with other attributes; it is as good.
    try {
        co_return co_await sqs.find(std::move(name));
    } catch (...) {
        problem = std::current_exception();
    }
    std::rethrow_exception(is_missing(problem) ? refusal : problem);
}

awaitable<std::string> find_topic(Sns& sns, const BrokerOptions& options, std::string name) {
    if (!options.create)
        co_return co_await sns.find(std::move(name));
    std::exception_ptr problem;
    std::string arn;
    try {
        arn = co_await sns.create(name, options.fifo);
    } catch (...) {
        problem = std::current_exception();
    }
    // One that somebody made with other attributes cannot be made again; it is as good.
    if (problem && is_refusal(problem))
        arn = co_await sns.find(std::move(name));
    if (problem && arn.empty())
        std::rethrow_exception(problem);
    co_return arn;
}

awaitable<std::string> prepare_queue(Sqs& sqs, Sns& sns, const SubscriptionOptions& options, std::string topic) {
    const std::string name = queue_name(options.broker, topic, options.behind_sns ? options.consumer : std::string{});
    std::string url;
    std::exception_ptr problem;
    try {
        url = co_await find_queue(sqs, options.broker, name);
    } catch (...) {
        problem = std::current_exception();
    }
    if (problem && is_missing(problem))
        throw Error(Errc::invalid_configuration,
                    "there is no queue " + name + " in the region: `txm migrate --broker` makes it");
    if (problem)
        std::rethrow_exception(problem);
    QueueAttributes attributes = co_await attributes_of(sqs, options.broker, url);
    check_redrive_policy(name, attributes, options.max_attempts);
    if (options.behind_sns && options.broker.create)
        co_await connect(sqs, sns, options, std::move(topic), url, std::move(attributes));
    co_return url;
}

}  // namespace txm::aws::detail
