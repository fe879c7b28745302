#include "contract/broker_contract.hpp"

#include "support/scratch_directory.hpp"
#include "txm/local.hpp"

#include <algorithm>
#include <iterator>

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
    std::vector<BrokerKind> kinds{
        {.name = "local", .make = [] { return std::make_unique<LocalBroker>(); }},
    };
#if TXM_TEST_AWS
    std::ranges::move(aws_broker_kinds(), std::back_inserter(kinds));
#endif
    return kinds;
}

}  // namespace txm::test
