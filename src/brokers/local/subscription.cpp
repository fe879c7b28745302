#include "brokers/local/acknowledger.hpp"
#include "brokers/local/membership.hpp"
#include "brokers/local/partitions.hpp"
#include "brokers/local/reader.hpp"
#include "brokers/local/unavailable.hpp"
#include "core/fault_point.hpp"
#include "sqlite/wake.hpp"
#include "txm/error.hpp"
#include "txm/local.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <type_traits>

namespace txm::local {

using namespace detail;

namespace {

// Read at once: enough for the reader's thread to be worth a switch, whatever little the consumer asks for.
constexpr std::size_t min_read = 256, max_read = 1024;

constexpr Offset not_draining = std::numeric_limits<Offset>::max();

std::vector<std::string> distinct(std::vector<std::string> topics) {
    std::ranges::sort(topics);
    topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
    if (topics.empty())
        throw std::invalid_argument("txm: a subscription needs at least one topic");
    return topics;
}

}  // namespace

class Subscription::Impl {
public:
    Impl(std::string file, std::vector<std::string> topics, SubscriptionOptions subscription_options)
        : path_(std::move(file)),
          options_(std::move(subscription_options)),
          partitions_(std::make_shared<Partitions>(distinct(std::move(topics)))) {}

    awaitable<std::vector<Delivery>> receive(std::size_t max) {
        start();
        for (;;) {
            if (is_interrupted_.exchange(false))  // one interrupt, one empty answer
                co_return std::vector<Delivery>{};
            if (const auto error = membership_->take_error())
                std::rethrow_exception(error);
            const Joined joined = membership_->joined();
            if (joined.file && membership_->may_deliver()) {
                const bool is_ready = co_await read(joined, max);
                if (is_ready) {
                    auto deliveries = partitions_->receive(max);
                    fault::point("local.received");
                    co_return deliveries;
                }
            }
            const bool is_over = co_await is_drained(joined);
            if (is_over)
                co_return std::vector<Delivery>{};
            co_await listener_->wait(options_.poll_interval);
            if (!joined.file)
                membership_->kick();  // it may be there now
        }
    }

    awaitable<void> acknowledge(const Delivery& delivery) {
        const SettledRow row = partitions_->key_of(delivery);
        Joined joined;
        if (membership_)
            joined = membership_->joined();
        if (!joined.file)
            throw Error(Errc::broker_unavailable,
                        "the local broker's file " + path_ + " is not open just now: acknowledge the delivery again",
                        delivery.message.message_id);
        co_await acknowledger_->acknowledge(joined.file->writer, joined.groups, row);
    }

    awaitable<void> drain() {
        start();
        Offset end = 0;
        if (std::filesystem::exists(path_)) {
            sqlite::DatabaseOptions options;
            options.create = false;
            options.busy_timeout = options_.busy_timeout;
            sqlite::detail::Readers readers(path_, options);
            end = co_await available(
                readers.run([](Connection& c) { return has_schema(c) ? end_offset(c) : Offset{0}; }));
        }
        drain_to_ = end;
        listener_->notify();
    }

    void interrupt() {
        is_interrupted_ = true;
        const std::lock_guard lock(start_mutex_);
        if (listener_)
            listener_->notify();
    }

private:
    /// The file is looked for from the first call on.
    void start() {
        const std::lock_guard lock(start_mutex_);
        if (membership_)
            return;
        using sqlite::detail::WakeListener;
        listener_ = std::make_unique<WakeListener>(path_, WakeListener::Writers::txm_only);
        acknowledger_ = std::make_shared<Acknowledger>(
            path_, partitions_, [this] { membership_->kick(); },
            [this] {
                if (drain_to_ != not_draining)
                    listener_->notify();
            });
        membership_ = std::make_unique<Membership>(path_, options_, partitions_, [this] { listener_->notify(); });
    }

    /// True when something is ready to be received.
    awaitable<bool> read(const Joined& joined, std::size_t max) {
        if (partitions_->is_ready())
            co_return true;
        const std::vector<TopicScan> scans = partitions_->plan();
        if (scans.empty())
            co_return false;
        const std::size_t rows = std::clamp(max, min_read, max_read);
        const auto work = [&](Connection& connection) {
            return read_topics(connection, partitions_->topics(), *joined.groups, scans, rows);
        };
        std::vector<TopicRows> read = co_await available(joined.file->readers.run(work));
        co_return partitions_->add(scans, read);
    }

    awaitable<bool> is_drained(const Joined& joined) {
        const Offset end = drain_to_;
        if (end == not_draining)
            co_return false;
        if (end == 0)
            co_return true;
        if (!joined.file || !partitions_->is_settled(end))
            co_return false;
        // Floors of partitions without messages are written now and then; up to date, they make the check cheap.
        const auto changes = partitions_->acknowledge({}, true);
        if (!changes.floors.empty()) {
            const auto write = [&](Connection& connection) {
                write_floors(connection, *joined.groups, changes.floors);
            };
            co_await available(joined.file->writer.transact_quietly(write));
            partitions_->floors_written(changes.floors);
        }
        const auto look = [&](Connection& connection) {
            return are_settled(connection, partitions_->topics(), *joined.groups, end);
        };
        const bool is_settled = co_await available(joined.file->readers.run(look));
        co_return is_settled;
    }

    /// What fails of it is Error(broker_unavailable).
    template <class T>
    awaitable<T> available(awaitable<T> operation) {
        std::exception_ptr error;
        try {
            if constexpr (std::is_void_v<T>) {
                co_await std::move(operation);
                co_return;
            } else {
                T result = co_await std::move(operation);
                co_return result;
            }
        } catch (...) {
            error = std::current_exception();
        }
        std::rethrow_exception(as_unavailable(path_, error));
    }

    const std::string path_;
    const SubscriptionOptions options_;
    const std::shared_ptr<Partitions> partitions_;
    std::atomic<bool> is_interrupted_{false};
    std::atomic<Offset> drain_to_{not_draining};

    std::mutex start_mutex_;
    std::unique_ptr<sqlite::detail::WakeListener> listener_;
    std::shared_ptr<Acknowledger> acknowledger_;
    std::unique_ptr<Membership> membership_;
};

Subscription::Subscription(std::string path, std::vector<std::string> topics, SubscriptionOptions options)
    : impl_(std::make_unique<Impl>(std::move(path), std::move(topics), std::move(options))) {}

Subscription::~Subscription() = default;

awaitable<std::vector<Delivery>> Subscription::receive(std::size_t max) {
    return impl_->receive(max);
}

awaitable<void> Subscription::acknowledge(const Delivery& delivery) {
    return impl_->acknowledge(delivery);
}

awaitable<void> Subscription::extend(const Delivery&) {
    // A delivery is its member's for as long as the member lives, which its own thread sees to.
    co_return;
}

awaitable<void> Subscription::drain() {
    return impl_->drain();
}

void Subscription::interrupt() {
    impl_->interrupt();
}

}  // namespace txm::local
