#pragma once

#include "aws/client.hpp"
#include "stores/dynamodb/counters.hpp"
#include "txm/dynamodb.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace txm::dynamodb::detail {

/// An item's table and key.
struct TableKey {
    TableKey(std::string table_name, Item item_key) : table(std::move(table_name)), key(std::move(item_key)) {}

    std::string table;
    Item key;
};

/// What one request of a query or scan found.
struct Page {
    std::vector<Item> items;
    Item last_key;  ///< where the next page starts; empty: there is none
};

/// What sessions, feeds and stores share: the client, and the calls of DynamoDB's API that more than one of them makes.
/// *Thread safety*: any number of threads and coroutines.
class DatabaseImpl {
public:
    explicit DatabaseImpl(DatabaseOptions options);

    /// Calls DynamoDB. @param action such as `PutItem`
    /// @param body JSON, with TableName as its first member where it has one
    /// @throws aws::ServiceError, aws::UnansweredError, Error(store_unavailable); Error(schema_missing) naming the table
    awaitable<aws::Response> call(std::string_view action, std::string body, aws::CallOptions options = {});
    /// The same; gives the answer's members.
    awaitable<boost::json::object> request(std::string_view action, std::string body, aws::CallOptions options = {});

    /// One item, strongly consistent.
    awaitable<std::optional<Item>> get_item(const std::string& table, const Item& key);
    /// Items of any number of keys and tables, strongly consistent, in the order of the keys: 100 a request, and again what
    /// the service left out.
    awaitable<std::vector<std::optional<Item>>> get_items(const std::vector<TableKey>& keys);

    /// One page of at most 1 MB; without a key condition it scans. Query::limit is that of the page.
    awaitable<Page> read_page(const Query& query, const Item& start);
    /// All pages, up to Query::limit items.
    awaitable<std::vector<Item>> read_all(Query query);
    /// How many items there are on all pages.
    awaitable<std::uint64_t> count_all(Query query);

    /// The attributes that are a table's key, as somebody learned them; empty: nobody did.
    std::vector<std::string> known_key(const std::string& table);
    void learn_key(const std::string& table, std::vector<std::string> names);

    /// Whether the table was found missing a short time ago.
    bool is_known_missing(const std::string& table);
    void learn_missing(const std::string& table);

    const DatabaseOptions options;
    aws::Client client;
    Counters counters;
    /// The clock that goes on while the machine sleeps. Tests set it.
    std::function<std::chrono::nanoseconds()> boot_time;

private:
    std::mutex mutex_;
    std::unordered_map<std::string, std::vector<std::string>> keys_;
    std::unordered_map<std::string, std::chrono::steady_clock::time_point> missing_;
};

/// The error for a table that is missing; it says what to do. @param table empty: which one is not known
Error missing_table(std::string_view table, const std::string& region);

/// Waits at least that long; where this_coro::throw_if_cancelled is false, whatever is cancelled meanwhile.
awaitable<void> pause(std::chrono::steady_clock::duration time);

}  // namespace txm::dynamodb::detail
