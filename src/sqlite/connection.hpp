#pragma once

#include "txm/statement.hpp"
#include "txm/sqlite.hpp"

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

struct sqlite3;
struct sqlite3_stmt;

namespace txm::sqlite::detail {

/// A prepared statement in use. Resets itself, and unbinds, when it goes.
/// Texts are bound without a copy (SQLITE_STATIC): they must live until the next reset().
class Query {
public:
    explicit Query(sqlite3_stmt* statement) noexcept : statement_(statement) {}
    Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
    Query& operator=(Query&&) = delete;
    ~Query();

    Query& bind(int index, std::int64_t value);
    Query& bind(int index, std::string_view text);
    Query& bind(int index, const Value& value);
    Query& bind_null(int index);
    Query& bind(int index, const Uuid& id);    // as text; copied
    Query& bind(int index, Timestamp time);    // as ISO 8601 text; copied

    /// Next row? @throws Error mapped from SQLite's code
    bool step();
    /// Steps to the end; gives the number of rows changed by it.
    std::size_t run();
    /// Ready to be bound and stepped again.
    void reset() noexcept;

    bool is_null(int column) const;
    std::int64_t integer(int column) const;
    std::string_view text(int column) const;  ///< valid until the next step or reset
    Uuid uuid(int column) const;              ///< @throws Error(invalid_message) for what is not one
    Timestamp time(int column) const;         ///< @throws Error(invalid_message) for what is not one
    Value value(int column) const;
    int columns() const;
    sqlite3_stmt* handle() const noexcept {
        return statement_;
    }

private:
    sqlite3_stmt* statement_;
};

/// One SQLite connection with a cache of prepared statements. *Thread safety*: one thread at a time.
class Connection {
public:
    enum class Mode { read_write, read_only };

    /// Opens `path` in WAL mode with foreign keys on. @throws Error(store_unavailable) saying what is wrong with the file
    Connection(const std::string& path, Mode mode, const DatabaseOptions& options);
    Connection(Connection&&) noexcept;
    ~Connection();

    /// A statement from the cache. Its text should be the same each time; txm's own SQL, never restricted.
    Query prepare(std::string_view sql);
    /// A statement of the user's: may not begin or end transactions, attach, or set pragmas.
    /// @throws Error(statement_failed)
    Query prepare_user(std::string_view sql);
    /// Runs statements without parameters, uncached.
    void execute(const char* sql);

    bool in_transaction() const noexcept;
    bool has_pending_deferred_constraints() const noexcept;
    sqlite3* handle() const noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Maps SQLite's current error of `db` to a txm::Error that says what to do: busy, full, read-only, damaged, no such table
/// (schema_missing), constraint (statement_failed) …
[[noreturn]] void throw_error(sqlite3* db, int code, std::string_view doing);

/// @throws std::invalid_argument unless `table` is letters, digits and `_`, not starting with a digit
void check_table_name(std::string_view table);

}  // namespace txm::sqlite::detail
