#pragma once

#include "txm/sqlite.hpp"
#include "txm/statement.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace txm::sqlite::detail {

struct CachedStatement;

/// A prepared statement in use. Resets itself, and unbinds, when it goes.
/// Texts are bound without a copy (SQLITE_STATIC): they must live until the next reset().
class Query {
public:
    explicit Query(CachedStatement& statement) noexcept;
    Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
    Query& operator=(Query&&) = delete;
    ~Query();

    Query& bind(int index, std::int64_t value);
    Query& bind(int index, std::string_view text);
    Query& bind(int index, const std::string& text) { return bind(index, std::string_view(text)); }
    Query& bind(int index, std::string&& text) = delete;  // it would be gone when the statement runs
    Query& bind(int index, const char* text) { return bind(index, std::string_view(text)); }
    Query& bind(int index, const Value& value);
    Query& bind_null(int index);
    Query& bind(int index, const Uuid& id);  // as text; copied
    Query& bind(int index, Timestamp time);  // as ISO 8601 text; copied

    /// Next row? @throws Error mapped from SQLite's code
    bool step();
    /// Steps to the end, and keeps the rows when `rows` is not null; gives the number of rows changed by it.
    std::size_t run(std::vector<Row>* rows = nullptr);
    /// Ready to be bound and stepped again.
    void reset() noexcept;

    bool is_null(int column) const;
    std::int64_t integer(int column) const;
    std::string_view text(int column) const;  ///< valid until the next step or reset
    Uuid uuid(int column) const;              ///< @throws Error(invalid_message) for what is not one
    Timestamp time(int column) const;         ///< @throws Error(invalid_message) for what is not one
    Value value(int column) const;
    Row row() const;
    int columns() const;
    /// False when running it can change the database.
    bool is_read_only() const noexcept;
    sqlite3_stmt* handle() const noexcept;

private:
    void check(int code) const;

    CachedStatement* statement_;
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

    const std::string& path() const noexcept;
    bool in_transaction() const noexcept;
    /// From here on every statement fails that would run outside a transaction, because one before it ended that.
    void require_transaction(bool required) noexcept;
    bool has_pending_deferred_constraints() const noexcept;
    /// Statements are interrupted after it (SQLITE_INTERRUPT); none: no limit.
    void set_deadline(std::optional<std::chrono::steady_clock::time_point> deadline) noexcept;
    /// Remembers that check_schema() passed.
    bool schema_checked = false;
    sqlite3* handle() const noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Maps SQLite's current error of `db` to a txm::Error that says what to do: busy, full, read-only, damaged, no such table
/// (schema_missing), constraint (statement_failed) …
[[noreturn]] void throw_error(sqlite3* db, int code, std::string_view doing);
/// The same for the user's own SQL: what SQL can be blamed for is statement_failed.
[[noreturn]] void throw_user_error(sqlite3* db, int code, std::string_view sql);

/// SQLite's name of an extended result code, such as `SQLITE_CONSTRAINT_UNIQUE`.
std::string code_name(int code);

/// @throws std::invalid_argument unless `table` is made of letters, digits and `_`
void check_table_name(std::string_view table);

}  // namespace txm::sqlite::detail
