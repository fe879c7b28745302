#include "cli/backends.hpp"

#include "txm/local.hpp"

#include <filesystem>

namespace txm::cli {

namespace {

class LocalBroker final : public Broker {
public:
    LocalBroker(std::string path, local::PublisherOptions publisher, local::SubscriptionOptions subscription)
        : path_(std::move(path)), publisher_(publisher), subscription_(std::move(subscription)) {}

    // Topics and groups come into being by use; what can be missing is the file.
    void migrate(const std::vector<std::string>&, const std::vector<std::string>&) override {
        local::Publisher{path_, publisher_};
    }

    std::unique_ptr<Publisher> publisher(PublisherSettings) override {
        return std::make_unique<local::Publisher>(path_, publisher_);
    }

    std::unique_ptr<Subscription> subscription(const SubscriptionSettings& settings) override {
        local::SubscriptionOptions options = subscription_;
        options.group = settings.consumer;
        options.from_end = settings.from_end;
        return std::make_unique<local::Subscription>(path_, settings.topics, std::move(options));
    }

    std::string not_there_yet() const override {
        std::error_code ignored;
        if (std::filesystem::exists(path_, ignored))
            return {};
        return "there is no " + path_ + " yet: it is made when something is published to it";
    }

    std::vector<ConsumerLag> lags() override {
        std::vector<ConsumerLag> lags;
        for (const local::GroupStatus& group : local::status(path_))
            lags.push_back({group.topic, group.group, group.lag, group.oldest_age});
        return lags;
    }

private:
    std::string path_;
    local::PublisherOptions publisher_;
    local::SubscriptionOptions subscription_;
};

}  // namespace

std::unique_ptr<Broker> open_local(const Url& url, const std::string& origin, Options& options) {
    if (url.rest.empty() || url.rest.starts_with(":memory:"))
        throw UsageError(origin + ": the local broker needs a file, such as local:topics.db");
    if (url.rest.starts_with("//") && !url.rest.starts_with("///"))
        throw UsageError(origin + ": the local broker has no host: write local:" + url.rest.substr(2) +
                         " or, from the root, local:" + url.rest.substr(1));
    local::PublisherOptions publisher;
    publisher.retention = std::chrono::ceil<std::chrono::seconds>(options.duration("retention", publisher.retention));
    publisher.busy_timeout = options.duration("busy_timeout", publisher.busy_timeout);
    local::SubscriptionOptions subscription;
    subscription.busy_timeout = publisher.busy_timeout;
    subscription.poll_interval = options.duration("poll_interval", subscription.poll_interval);
    subscription.lease_term = options.duration("lease_term", subscription.lease_term);
    options.refuse_others();
    return std::make_unique<LocalBroker>(url.rest, publisher, std::move(subscription));
}

}  // namespace txm::cli
