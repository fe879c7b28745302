#include "contract/broker_contract.hpp"

#include "support/scratch_directory.hpp"
#include "txm/local.hpp"

namespace txm::test {
namespace {

class LocalBroker final : public Broker {
public:
    std::unique_ptr<Publisher> publisher() override { return std::make_unique<local::Publisher>(file()); }
    std::unique_ptr<Subscription> subscription(std::vector<std::string> topics, std::string group,
                                               bool from_end) override {
        local::SubscriptionOptions options{std::move(group)};
        options.from_end = from_end;
        options.poll_interval = std::chrono::milliseconds{20};
        return std::make_unique<local::Subscription>(file(), std::move(topics), options);
    }

private:
    std::string file() const { return directory_ / "broker.db"; }

    ScratchDirectory directory_;
};

}  // namespace

std::vector<BrokerKind> broker_kinds() {
    return {
        {.name = "local", .make = [] { return std::make_unique<LocalBroker>(); }},
    };
}

}  // namespace txm::test
