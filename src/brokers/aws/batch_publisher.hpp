#pragma once

#include "asio/turns.hpp"
#include "brokers/aws/sqs.hpp"
#include "txm/aws.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace txm::aws::detail {

/// Where the messages of a topic go.
class Target {
public:
    virtual ~Target() = default;

    virtual const char* service() const noexcept = 0;

    /// Of the largest message, attributes included, in bytes.
    virtual std::size_t max_message() const noexcept = 0;

    /// @throws Error(invalid_message) for a topic that can have none
    virtual std::string name_of(std::string_view topic) const = 0;

    /// What requests call the topic or queue of that name, which is made when it is missing and may be made; empty: there is
    /// none.
    virtual awaitable<std::string> look_up(std::string name) = 0;

    virtual awaitable<std::vector<EntryResult>> send(const std::string& address,
                                                     std::span<const WireMessage* const> messages) = 0;

    /// Fails what is under way. What comes later is not concerned.
    virtual void cut_off() noexcept = 0;
};

/// A client of a service that can be cut off and goes on with another.
template <class Service>
class Renewable {
public:
    explicit Renewable(const ClientOptions& options)
        : options_(options), current_(std::make_shared<Service>(options)) {}

    /// Keep it while it is used.
    std::shared_ptr<Service> get() const { return current_; }

    void cut_off() noexcept {
        const std::shared_ptr<Service> old = current_;
        try {
            current_ = std::make_shared<Service>(options_);
        } catch (...) {
            // What comes later fails, too.
        }
        old->close();
    }

private:
    const ClientOptions options_;
    std::shared_ptr<Service> current_;
};

/// Splits batches into requests and sends these at the same time: at most ten messages and 256 KiB each, and never two of
/// one aggregate, neither in one request nor at once: the second one is sent when the first one is acknowledged.
/// A request is made when there is a connection for it: what waits is not copied. Once a request of a topic has failed, no
/// more of that topic are made. One who cancels waits for no answer.
class BatchPublisher : public std::enable_shared_from_this<BatchPublisher> {
public:
    BatchPublisher(std::unique_ptr<Target> target, BrokerOptions options);

    awaitable<void> publish(PublishBatch& batch);
    std::size_t max_concurrent_batches() const noexcept;

private:
    struct Entry;
    struct Sending;
    using Entries = std::vector<Entry>;
    using Messages = std::vector<const StoredMessage*>;
    using Turn = txm::detail::Turns::Turn;

    Entries take_request(PublishBatch& batch, Messages& messages) const;
    void spawn(const std::shared_ptr<Sending>& sending, awaitable<void> body);
    awaitable<void> send_topic(std::shared_ptr<Sending> sending, Messages messages);
    awaitable<void> send_again(std::shared_ptr<Sending> sending, std::string topic, Entries entries,
                               bool is_second_try);
    awaitable<void> send_request(std::shared_ptr<Sending> sending, std::string topic, Entries entries,
                                 bool is_second_try, Turn turn);
    awaitable<std::string> address_of(std::string topic);

    const std::unique_ptr<Target> target_;
    const BrokerOptions options_;
    std::unordered_map<std::string, std::string> addresses_;  ///< by topic
    txm::detail::Turns turns_;                                ///< of requests
};

}  // namespace txm::aws::detail
