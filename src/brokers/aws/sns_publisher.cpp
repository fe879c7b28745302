#include "brokers/aws/batch_publisher.hpp"
#include "brokers/aws/names.hpp"
#include "brokers/aws/setup.hpp"
#include "brokers/aws/sns.hpp"

namespace txm::aws {

using namespace detail;

namespace {

class SnsTarget final : public Target {
public:
    explicit SnsTarget(const BrokerOptions& options) : options_(options), sns_(options.client) {}

    const char* service() const noexcept override { return "SNS"; }
    std::size_t max_message() const noexcept override { return 262'144; }
    std::string name_of(std::string_view topic) const override { return topic_name(options_, topic); }

    awaitable<std::string> look_up(std::string name) override {
        const auto sns = sns_.get();
        co_return co_await find_topic(*sns, options_, std::move(name));
    }

    awaitable<std::vector<EntryResult>> send(const std::string& address,
                                             std::span<const WireMessage* const> messages) override {
        const auto sns = sns_.get();
        co_return co_await sns->publish(address, messages);
    }

    void cut_off() noexcept override { sns_.cut_off(); }

private:
    const BrokerOptions options_;
    Renewable<Sns> sns_;
};

}  // namespace

class SnsPublisher::Impl final : public BatchPublisher {
public:
    using BatchPublisher::BatchPublisher;
};

SnsPublisher::SnsPublisher(BrokerOptions options)
    : impl_(std::make_shared<Impl>(std::make_unique<SnsTarget>(options), options)) {}

SnsPublisher::~SnsPublisher() = default;

awaitable<void> SnsPublisher::publish(PublishBatch& batch) {
    return impl_->publish(batch);
}

std::size_t SnsPublisher::max_concurrent_batches() const {
    return impl_->max_concurrent_batches();
}

std::string SnsPublisher::destination(const StoredMessage& message) const {
    return message.topic;
}

}  // namespace txm::aws
