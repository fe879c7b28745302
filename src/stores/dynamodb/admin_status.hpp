#pragma once

#include "stores/dynamodb/admin_select.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace txm::dynamodb::detail {

/// What was counted in an inbox that is too large to be counted each time. *Thread safety*: any thread.
class InboxCounts {
public:
    std::optional<std::vector<InboxStatus>> recent() const;
    void remember(std::vector<InboxStatus> counts);

private:
    using Clock = std::chrono::steady_clock;

    mutable std::mutex mutex_;
    std::vector<InboxStatus> counts_;
    Clock::time_point until_{};
};

/// Counts what an outbox and an inbox hold, and says what an operator has to do.
/// *Thread safety*: any number of coroutines. *Lifetime*: `db` must outlive it.
class StatusReader {
public:
    StatusReader(Database& db, AdminTables tables, std::shared_ptr<InboxCounts> counts)
        : db_(db), tables_(std::move(tables)), counts_(std::move(counts)) {}

    awaitable<StoreStatus> read();
    /// What is counted of the outbox alone, with the rights of a relay.
    awaitable<StoreStatus> read_outbox();
    /// What waits of a consumer, with the rights of a consumer. @param inbox names it
    awaitable<void> read_consumer(InboxStatus& inbox);

private:
    awaitable<std::uint64_t> count_undispatched(std::string_view mark);

    awaitable<void> read_messages(StoreStatus& status);
    awaitable<void> read_age(std::string_view mark, StoreStatus& status);
    awaitable<void> read_lanes(StoreStatus& status);
    awaitable<void> read_leases(std::string partition, std::string prefix, StoreStatus& status);
    awaitable<void> read_inbox(StoreStatus& status);
    awaitable<std::vector<InboxStatus>> count_inbox();
    awaitable<void> check_table(std::string table, bool needs_stream, StoreStatus& status);

    Database& db_;
    const AdminTables tables_;
    const std::shared_ptr<InboxCounts> counts_;
};

}  // namespace txm::dynamodb::detail
