#pragma once

#include "asio/suspension.hpp"
#include "brokers/local/partitions.hpp"
#include "sqlite/writer.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace txm::local::detail {

/// The ids of a subscription's groups, by topic.
using GroupIds = std::vector<std::int64_t>;

/// In the open transaction: floors that have grown. Deletes what is settled below them, a bounded number of rows each time.
void write_floors(Connection& connection, const GroupIds& groups, std::span<const FloorRow> floors);

/// Records acknowledgements. Those that come while one transaction is under way share the next.
/// *Thread safety*: any thread.
class Acknowledger : public std::enable_shared_from_this<Acknowledger> {
public:
    /// @param given_up called when a partition that is to be given back has nothing in flight any more
    /// @param committed called after each commit, on the writer's thread
    Acknowledger(std::string path, std::shared_ptr<Partitions> partitions, std::function<void()> given_up,
                 std::function<void()> committed);

    /// Ends when it is committed. @throws Error(broker_unavailable)
    boost::asio::awaitable<void> acknowledge(sqlite::detail::Writer& writer, std::shared_ptr<const GroupIds> groups,
                                             SettledRow row);

private:
    struct Job;

    /// One who waits for its acknowledgement to be committed.
    struct Waiter {
        std::exception_ptr error;
        txm::detail::Suspension suspension;
    };

    void enqueue(sqlite::detail::Writer& writer, const std::shared_ptr<const GroupIds>& groups, SettledRow row,
                 const std::shared_ptr<Waiter>& waiter);

    const std::string path_;
    const std::shared_ptr<Partitions> partitions_;
    const std::function<void()> given_up_;
    const std::function<void()> committed_;

    std::mutex mutex_;
    std::vector<SettledRow> rows_;
    std::vector<std::shared_ptr<Waiter>> waiters_;
};

}  // namespace txm::local::detail
