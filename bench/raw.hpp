#pragma once

#include <cstdint>
#include <memory>
#include <string>

struct sqlite3;
struct sqlite3_stmt;

namespace txm::bench {

/// SQLite's own C interface, used as well as it can be: statements prepared once, WAL, synchronous=FULL. What txm is
/// compared with.
class Raw {
public:
    explicit Raw(const std::string& path);
    ~Raw();
    void execute(const char* sql);
    sqlite3_stmt* prepare(const char* sql);  ///< finalized with the connection
    sqlite3* handle() const noexcept { return db_; }

private:
    sqlite3* db_ = nullptr;
};

void bind(sqlite3_stmt* statement, int index, const std::string& text);
void bind(sqlite3_stmt* statement, int index, std::int64_t value);
/// Steps a statement without rows to its end and resets it.
void run(sqlite3_stmt* statement);

/// What the application of these measurements does: an order and its event.
inline constexpr const char* orders_schema =
    "create table orders (id integer primary key, customer text, cents integer) strict";
inline constexpr const char* insert_order = "insert into orders (id, customer, cents) values (?, ?, ?)";
inline constexpr const char* insert_message =
    "insert into outbox (message_id, topic, type, aggregate_id, correlation_id, payload, headers, created_at, "
    "stored_at)"
    " values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) on conflict (message_id) do nothing";

/// Fills an outbox with `count` pending messages of `aggregates` aggregates, in big transactions.
void fill(const std::string& path, std::int64_t count, int aggregates);

}  // namespace txm::bench
