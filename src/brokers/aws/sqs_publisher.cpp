#include "brokers/aws/batch_publisher.hpp"
#include "brokers/aws/names.hpp"
#include "brokers/aws/setup.hpp"
#include "brokers/aws/sqs.hpp"

namespace txm::aws {

using namespace detail;

namespace {

class SqsTarget final : public Target {
public:
    explicit SqsTarget(const BrokerOptions& options) : options_(options), sqs_(options.client) {}

    const char* service() const noexcept override { return "SQS"; }
    std::size_t max_message() const noexcept override { return 1'048'576; }
    std::string name_of(std::string_view topic) const override { return queue_name(options_, topic); }

    awaitable<std::string> look_up(std::string name) override {
        const auto sqs = sqs_.get();
        co_return co_await find_queue(*sqs, options_, std::move(name));
    }

    awaitable<std::vector<EntryResult>> send(const std::string& address,
                                             std::span<const WireMessage* const> messages) override {
        const auto sqs = sqs_.get();
        co_return co_await sqs->send(address, messages);
    }

    void cut_off() noexcept override { sqs_.cut_off(); }

private:
    const BrokerOptions options_;
    Renewable<Sqs> sqs_;
};

}  // namespace

class SqsPublisher::Impl final : public BatchPublisher {
public:
    using BatchPublisher::BatchPublisher;
};

SqsPublisher::SqsPublisher(BrokerOptions options)
    : impl_(std::make_shared<Impl>(std::make_unique<SqsTarget>(options), options)) {}

SqsPublisher::~SqsPublisher() = default;

awaitable<void> SqsPublisher::publish(PublishBatch& batch) {
    return impl_->publish(batch);
}

std::size_t SqsPublisher::max_concurrent_batches() const {
    return impl_->max_concurrent_batches();
}

std::string SqsPublisher::destination(const StoredMessage& message) const {
    return message.topic;
}

}  // namespace txm::aws
