#include "cli/backends.hpp"
#include "cli/stdout_publisher.hpp"

namespace txm::cli {

namespace {

class StdoutBroker final : public Broker {
public:
    explicit StdoutBroker(std::string origin) : origin_(std::move(origin)) {}

    void migrate(const std::vector<std::string>&, const std::vector<std::string>&) override {}

    std::unique_ptr<Publisher> publisher(PublisherSettings settings) override {
        return std::make_unique<StdoutPublisher>(std::move(settings.give_up));
    }

    std::unique_ptr<Subscription> subscription(const SubscriptionSettings&) override {
        throw UsageError(origin_ + ": stdout: can only be written to: consume needs a broker such as local:topics.db");
    }

    std::vector<ConsumerLag> lags() override { return {}; }

private:
    std::string origin_;
};

}  // namespace

std::unique_ptr<Broker> open_stdout(const Url& url, const std::string& origin, Options& options) {
    if (!url.rest.empty())
        throw UsageError(origin + ": stdout: takes no name: write stdout: and redirect it");
    options.refuse_others();
    return std::make_unique<StdoutBroker>(origin);
}

}  // namespace txm::cli
