#include "contract/broker_contract.hpp"
#include "support/aws_names.hpp"
#include "support/server.hpp"
#include "txm/aws.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/io_context.hpp>

namespace txm::test {
namespace {

/// Topics and queues of one test.
class AwsBroker final : public Broker {
public:
    AwsBroker(const std::string& server, bool behind_sns, bool fifo)
        : options_(aws_options(Server::shared(server), new_prefix(), fifo)),
          behind_sns_(behind_sns),
          is_atomic_(server != "moto") {
        // A topic keeps nothing for a queue that is subscribed later: groups are made before anything is published, as
        // `txm migrate` does.
        if (behind_sns_)
            for (const char* group : {"billing", "shipping"})
                sync_wait(aws::subscribe({"orders", "credit"}, subscription_options(group)));
    }

    std::unique_ptr<Publisher> publisher() override {
        if (behind_sns_)
            return std::make_unique<aws::SnsPublisher>(options_);
        return std::make_unique<aws::SqsPublisher>(options_);
    }

    std::unique_ptr<Subscription> subscription(std::vector<std::string> topics, std::string group, bool) override {
        return std::make_unique<aws::Subscription>(std::move(topics), subscription_options(std::move(group)));
    }

private:
    aws::SubscriptionOptions subscription_options(std::string group) const {
        aws::SubscriptionOptions options{options_, std::move(group)};
        options.behind_sns = behind_sns_;
        options.visibility = std::chrono::minutes{10};  // longer than any test: nothing comes again by itself
        options.wait = std::chrono::seconds{1};
        if (!is_atomic_)
            options.max_polls = 1;
        return options;
    }

    const aws::BrokerOptions options_;
    const bool behind_sns_;
    const bool is_atomic_;  ///< two receives at the same time do not get the same message
};

}  // namespace

std::vector<BrokerKind> aws_broker_kinds() {
    std::vector<BrokerKind> kinds;
    for (const std::string server : {"fauxqs", "moto"})
        for (const bool behind_sns : {true, false})
            for (const bool fifo : {false, true}) {
                BrokerKind kind;
                kind.name = std::string(behind_sns ? "sns" : "sqs") + (fifo ? "_fifo_" : "_") + server;
                kind.make = [=] { return std::make_unique<AwsBroker>(server, behind_sns, fifo); };
                kind.knows_duplicates = fifo;
                kind.has_groups = kind.has_from_end = behind_sns;
                kind.keeps_order = fifo;
                kind.shares_group = fifo && server == "fauxqs";
                kind.runs_ahead = !fifo;
                kind.many = server == "fauxqs" ? 4'000 : 40;
                kinds.push_back(std::move(kind));
            }
    return kinds;
}

}  // namespace txm::test
