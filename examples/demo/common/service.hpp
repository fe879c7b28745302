#pragma once

#include <txm/subscription.hpp>
#include <txm/unit_of_work.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What both services need besides txm: settings, a log, and the two counts that the demo's table shows.
namespace demo {

/// The file that an environment variable names as a URL: `orders.db` for TXM_STORE=sqlite:orders.db and scheme `sqlite`.
/// @throws std::runtime_error when it is not set or is of another scheme
std::string path_from_environment(const char* variable, std::string_view scheme);

/// A count given on the command line. @throws std::runtime_error naming `what`, unless it is 0 … `max` in decimal digits
std::int64_t parse_count(std::string_view text, std::string_view what, std::int64_t max = 1'000'000'000'000'000);

/// One line on standard error, in one write: what was logged before a kill -9 is still there after it.
void log(std::string_view line) noexcept;

/// Logs `received N` for each batch of deliveries, so that redeliveries can be counted over all lives of a service.
class LoggedSubscription final : public txm::Subscription {
public:
    explicit LoggedSubscription(std::unique_ptr<txm::Subscription> inner) : inner_(std::move(inner)) {}

    txm::awaitable<std::vector<txm::Delivery>> receive(std::size_t max) override;
    txm::awaitable<void> acknowledge(const txm::Delivery& delivery) override { return inner_->acknowledge(delivery); }
    txm::awaitable<void> extend(const txm::Delivery& delivery) override { return inner_->extend(delivery); }
    std::chrono::milliseconds extend_within() const noexcept override { return inner_->extend_within(); }
    txm::awaitable<void> drain() override { return inner_->drain(); }
    void interrupt() override { inner_->interrupt(); }

private:
    std::unique_ptr<txm::Subscription> inner_;
};

/// Logs `duplicate ID` for each delivery that had taken effect before.
class LoggedUnitOfWork : public txm::UnitOfWork {
public:
    using txm::UnitOfWork::UnitOfWork;
    txm::awaitable<void> enter() override;
};

}  // namespace demo
