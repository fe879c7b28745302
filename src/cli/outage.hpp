#pragma once

#include "txm/publisher.hpp"
#include "txm/subscription.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace txm::cli {

/// Whether the broker is reachable, and the patience with it (`--timeout`).
/// *Thread safety*: one executor, but for is_down().
class Outage {
public:
    /// @param patience none: for ever  @param give_up called, with why, when it is at its end
    Outage(const boost::asio::any_io_executor& executor, std::optional<std::chrono::milliseconds> patience,
           std::function<void(const std::string&)> give_up);

    void failed(const std::string& why);
    void recovered();
    /// Waits for nothing any more, whatever fails later.
    void end();

    bool is_down() const noexcept { return is_down_; }

private:
    std::optional<std::chrono::milliseconds> patience_;
    std::function<void(const std::string&)> give_up_;
    boost::asio::steady_timer timer_;
    std::string why_;
    std::atomic<bool> is_down_{false};
    bool has_ended_ = false;
};

/// A publisher whose outages are noted. *Lifetime*: both must outlive it.
class WatchedPublisher final : public Publisher {
public:
    WatchedPublisher(Publisher& publisher, Outage& outage) : publisher_(publisher), outage_(outage) {}

    awaitable<void> publish(PublishBatch& batch) override;
    bool gapless() const noexcept override { return publisher_.gapless(); }
    std::size_t max_concurrent_batches() const override { return publisher_.max_concurrent_batches(); }
    std::string destination(const StoredMessage& message) const override { return publisher_.destination(message); }

private:
    Publisher& publisher_;
    Outage& outage_;
};

/// A subscription whose outages are noted. *Lifetime*: both must outlive it.
class WatchedSubscription final : public Subscription {
public:
    WatchedSubscription(Subscription& subscription, Outage& outage) : subscription_(subscription), outage_(outage) {}

    awaitable<std::vector<Delivery>> receive(std::size_t max) override;
    awaitable<void> acknowledge(const Delivery& delivery) override { return subscription_.acknowledge(delivery); }
    awaitable<void> extend(const Delivery& delivery) override { return subscription_.extend(delivery); }
    std::chrono::milliseconds extend_within() const noexcept override { return subscription_.extend_within(); }
    awaitable<void> drain() override { return subscription_.drain(); }
    void interrupt() override { subscription_.interrupt(); }

private:
    Subscription& subscription_;
    Outage& outage_;
};

}  // namespace txm::cli
