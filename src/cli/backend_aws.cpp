#include "cli/aws_options.hpp"
#include "cli/backends.hpp"
#include "cli/heap.hpp"

#include "txm/aws.hpp"
#include "txm/sync_wait.hpp"

namespace txm::cli {

namespace {

/// SNS topics with a queue for each consumer, or SQS queues alone.
enum class Service { sns, sqs };

class AwsBroker final : public Broker {
public:
    AwsBroker(Service service, std::string origin, aws::SubscriptionOptions options)
        : service_(service), origin_(std::move(origin)), options_(std::move(options)) {}

    void migrate(const std::vector<std::string>& topics, const std::vector<std::string>& consumers) override {
        if (topics.empty())
            throw UsageError(
                origin_ + (service_ == Service::sns
                               ? ": migrate needs --topic TOPIC and --consumer NAME: SNS keeps nothing "
                                 "for a consumer whose queue is made later (without a broker it makes "
                                 "the tables alone)"
                               : ": migrate needs --topic TOPIC: each topic is a queue (without a broker it makes the "
                                 "tables alone)"));
        if (service_ == Service::sns && consumers.empty())
            throw UsageError(
                origin_ +
                ": migrate needs --consumer NAME: behind SNS each consumer has a queue of its own, and "
                "what is published before that is there is not in it (without a broker it makes the tables "
                "alone)");
        if (service_ == Service::sqs) {
            sync_wait(aws::subscribe(topics, options_));
            return;
        }
        for (const std::string& consumer : consumers) {
            aws::SubscriptionOptions options = options_;
            options.consumer = consumer;
            sync_wait(aws::subscribe(topics, std::move(options)));
        }
    }

    std::unique_ptr<Publisher> publisher(PublisherSettings) override {
        if (service_ == Service::sns)
            return std::make_unique<aws::SnsPublisher>(options_.broker);
        return std::make_unique<aws::SqsPublisher>(options_.broker);
    }

    std::unique_ptr<Subscription> subscription(const SubscriptionSettings& settings) override {
        if (settings.from_end)
            throw UsageError(origin_ + ": a queue has no --from end: it holds what was sent since it was made");
        aws::SubscriptionOptions options = options_;
        options.consumer = settings.consumer;
        options.max_attempts = settings.max_attempts;
        return std::make_unique<aws::Subscription>(settings.topics, std::move(options));
    }

    // A queue counts what it holds only roughly, and which queues are a prefix's is not known.
    std::vector<ConsumerLag> lags() override { return {}; }

private:
    Service service_;
    std::string origin_;
    aws::SubscriptionOptions options_;
};

std::chrono::seconds whole_seconds(Options& options, std::string_view name, std::chrono::seconds fallback,
                                   std::chrono::seconds least, std::chrono::seconds most, const std::string& origin) {
    const auto given = options.duration(name, fallback);
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(given);
    if (seconds < least || seconds > most)
        throw UsageError(origin + ": " + std::string(name) + " must be from " + std::to_string(least.count()) +
                         "s to " + std::to_string(most.count()) + "s");
    return seconds;
}

std::unique_ptr<Broker> open_aws(Service service, const Url& url, const std::string& origin, Options& options) {
    share_a_heap();
    const AwsPlace place = aws_place(url, options, origin, url.scheme + "://eu-west-1/shop-");
    check_aws_name(place.name, false, origin);
    aws::BrokerOptions broker{aws_client_options(place, options, origin)};
    broker.prefix = place.name;
    broker.fifo = options.flag("fifo", broker.fifo);
    broker.create = options.flag("create", broker.create);
    if (options.choice("envelope", "none|tomodachi", "none") == "tomodachi")
        broker.envelope = aws::Envelope::tomodachi;
    aws::SubscriptionOptions subscription{std::move(broker)};
    subscription.behind_sns = service == Service::sns;
    subscription.visibility = whole_seconds(options, "visibility", subscription.visibility, std::chrono::seconds{1},
                                            std::chrono::hours{12}, origin);
    subscription.wait =
        whole_seconds(options, "wait", subscription.wait, std::chrono::seconds{0}, std::chrono::seconds{20}, origin);
    options.refuse_others();
    return std::make_unique<AwsBroker>(service, origin, std::move(subscription));
}

}  // namespace

std::unique_ptr<Broker> open_sns(const Url& url, const std::string& origin, Options& options) {
    return open_aws(Service::sns, url, origin, options);
}

std::unique_ptr<Broker> open_sqs(const Url& url, const std::string& origin, Options& options) {
    return open_aws(Service::sqs, url, origin, options);
}

}  // namespace txm::cli
