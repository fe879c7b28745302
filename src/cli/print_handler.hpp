#pragma once

#include "cli/stdout_file.hpp"
#include "txm/consumer.hpp"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace txm::cli {

/// `txm consume --print`: a JSON line per delivery, done once the kernel has it. What several lanes print at a time goes out
/// in one write.
/// *Thread safety*: one executor.
class PrintHandler {
public:
    /// @param give_up called, with why, when nobody reads any more
    explicit PrintHandler(std::function<void(const std::string&)> give_up) : give_up_(std::move(give_up)) {}

    /// @throws Error(store_unavailable) when it was not written
    awaitable<void> handle(const Delivery& delivery);

private:
    /// Lines that go out in one write, and the lanes that wait for it.
    struct Batch {
        std::string lines;
        bool done = false;
        std::string failure;
        std::vector<boost::asio::steady_timer*> sleepers;
    };

    awaitable<void> write_batch();
    static awaitable<void> sleep_in(std::shared_ptr<Batch> batch);

    StdoutFile file_;
    std::shared_ptr<Batch> open_ = std::make_shared<Batch>();
    bool is_writing_ = false;
    std::function<void(const std::string&)> give_up_;
};

/// The store of a consumer that has none: it keeps nothing, so that nothing may be parked.
class NoStore final : public ConsumerStore {
public:
    awaitable<std::vector<bool>> is_parked(std::span<const Delivery> deliveries) override;
    awaitable<void> park(std::span<const Delivery> deliveries, Timestamp next_attempt, std::string reason) override;
    awaitable<std::vector<Delivery>> take_parked(std::size_t max) override;
    awaitable<void> unpark(const Delivery& delivery) override;
    awaitable<int> begin_attempt(const Delivery& delivery, bool is_alone) override;
    awaitable<void> end_attempt(const Delivery& delivery) override;
    awaitable<void> dead_letter(const Incoming& incoming, const Delivery& delivery, std::string why,
                                bool hold) override;
    awaitable<Timestamp> purged_to() override;
    awaitable<std::size_t> purge_inbox(std::chrono::seconds retention, std::size_t limit) override;
    awaitable<bool> lease(std::string what) override;
    awaitable<void> release() override;
};

}  // namespace txm::cli
