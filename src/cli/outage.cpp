#include "cli/outage.hpp"

#include <utility>

namespace txm::cli {

Outage::Outage(const boost::asio::any_io_executor& executor, std::optional<std::chrono::milliseconds> patience,
               std::function<void(const std::string&)> give_up)
    : patience_(patience), give_up_(std::move(give_up)), timer_(executor) {}

void Outage::failed(const std::string& why) {
    why_ = why;
    if (is_down_.exchange(true) || !patience_ || has_ended_)
        return;
    timer_.expires_after(*patience_);
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error && is_down_ && !has_ended_)
            give_up_("the broker was unreachable for the --timeout: " + why_);
    });
}

void Outage::recovered() {
    if (is_down_.exchange(false))
        timer_.cancel();
}

void Outage::end() {
    has_ended_ = true;
    timer_.cancel();
}

awaitable<void> WatchedPublisher::publish(PublishBatch& batch) {
    try {
        co_await publisher_.publish(batch);
    } catch (const std::exception& error) {
        outage_.failed(error.what());
        throw;
    }
    outage_.recovered();
}

awaitable<std::vector<Delivery>> WatchedSubscription::receive(std::size_t max) {
    std::vector<Delivery> deliveries;
    try {
        deliveries = co_await subscription_.receive(max);
    } catch (const std::exception& error) {
        outage_.failed(error.what());
        throw;
    }
    outage_.recovered();
    co_return deliveries;
}

}  // namespace txm::cli
