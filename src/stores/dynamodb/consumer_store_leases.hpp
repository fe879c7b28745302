#pragma once

#include "stores/dynamodb/consumer_store_keys.hpp"
#include "stores/dynamodb/lease.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace txm::dynamodb::detail {

/// The leases of a consumer, by what they are on. *Thread safety*: any number of coroutines.
class ConsumerLeases {
public:
    ConsumerLeases(DatabaseImpl& db, const std::string& table, const ConsumerKeys& keys)
        : db_(db), table_(table), keys_(keys) {}

    /// Takes or keeps one; false while another process has it.
    awaitable<bool> keep(std::string what);
    awaitable<void> release();

private:
    struct Held {
        Held(DatabaseImpl& db, const std::string& table, Item key, std::string whose)
            : lease(db, table, std::move(key), std::move(whose), std::chrono::seconds{10}) {}
        Lease lease;
        bool is_busy = false;
    };
    static awaitable<bool> keep_held(Lease& lease);

    DatabaseImpl& db_;
    const std::string& table_;
    const ConsumerKeys& keys_;

    std::mutex mutex_;  // for what follows; never held while anything is waited for
    std::map<std::string, std::shared_ptr<Held>, std::less<>> leases_;
};

}  // namespace txm::dynamodb::detail
