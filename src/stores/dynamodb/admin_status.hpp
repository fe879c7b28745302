#pragma once

#include "stores/dynamodb/admin_select.hpp"

#include <cstdint>
#include <string>
#include <utility>

namespace txm::dynamodb::detail {

/// Counts what an outbox and an inbox hold, and says what an operator has to do.
/// *Thread safety*: any number of coroutines. *Lifetime*: `db` must outlive it.
class StatusReader {
public:
    StatusReader(Database& db, AdminTables tables) : db_(db), tables_(std::move(tables)) {}

    awaitable<StoreStatus> read();

private:
    awaitable<std::uint64_t> count_undispatched(std::string_view mark);

    awaitable<void> read_outbox(StoreStatus& status);
    awaitable<void> read_age(std::string_view mark, StoreStatus& status);
    awaitable<void> read_lanes(StoreStatus& status);
    awaitable<void> read_leases(std::string partition, std::string prefix, StoreStatus& status);
    awaitable<void> read_inbox(StoreStatus& status);
    awaitable<void> read_consumer(InboxStatus& inbox, StoreStatus& status);
    awaitable<void> check_table(std::string table, bool needs_stream, StoreStatus& status);
    void add_warnings(StoreStatus& status) const;

    Database& db_;
    const AdminTables tables_;
};

}  // namespace txm::dynamodb::detail
