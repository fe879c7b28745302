#include "schema.hpp"
#include "sqlite/database_impl.hpp"
#include "txm/error.hpp"

#include <charconv>
#include <initializer_list>

namespace txm::sqlite {

namespace detail {
namespace {

[[noreturn]] void throw_missing(const std::string& what, const std::string& path) {
    throw Error(Errc::schema_missing, what + " in " + path + ": run `txm migrate --store sqlite:" + path + "`");
}

int stored_version(Connection& connection, const std::string& path) {
    auto row = connection.prepare("select value from txm_meta where key = 'schema_version'");
    if (!row.step())
        throw_missing("txm_meta has no schema_version", path);
    const std::string_view text = row.text(0);
    int version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (error != std::errc() || end != text.data() + text.size())
        throw Error(Errc::schema_missing,
                    "the schema_version in txm_meta of " + path + " is not a number: \"" + std::string(text) + "\"");
    return version;
}

bool has_table(Connection& connection, std::string_view table) {
    auto row =
        connection.prepare("select 1 from sqlite_schema where name = ? collate nocase and type in ('table', 'view')");
    return row.bind(1, table).step();
}

// A table of that name that is not one of txm's must be noticed now, not by the first commit.
void check_columns(Connection& connection, const std::string& table, std::initializer_list<std::string_view> columns) {
    for (const std::string_view column : columns) {
        auto row = connection.prepare("select 1 from pragma_table_info(?) where name = ?");
        if (!row.bind(1, table).bind(2, column).step())
            throw Error(Errc::invalid_configuration, "the table " + table + " of " + connection.path() +
                                                         " is not one of txm's: it has no column " +
                                                         std::string(column) + "; choose another name");
    }
}

}  // namespace

void check_schema(Connection& connection, const std::string& path) {
    if (connection.schema_checked)
        return;
    const int version = stored_version(connection, path);
    if (version > schema_version)
        throw Error(Errc::schema_too_new, path + " was migrated by a newer txm: its schema has version " +
                                              std::to_string(version) + ", this program knows " +
                                              std::to_string(schema_version) + "; use the newer program");
    connection.schema_checked = true;
}

void check_table(Connection& connection, const std::string& path, std::string_view table) {
    check_schema(connection, path);
    if (!has_table(connection, table))
        throw_missing("no such table: " + std::string(table), path);
}

namespace {

void create(Connection& connection, const std::string& table, const std::string& schema,
            std::initializer_list<std::string_view> columns) {
    if (has_table(connection, "txm_meta"))
        check_schema(connection, connection.path());
    if (has_table(connection, table))
        check_columns(connection, table, columns);
    connection.execute(schema.c_str());
}

}  // namespace
}  // namespace detail

awaitable<void> create_outbox_table(Database& db, std::string table) {
    const std::string schema = outbox_schema(table);
    const auto work = [&](detail::Connection& connection) {
        detail::create(connection, table, schema,
                       {"sequence", "message_id", "topic", "type", "aggregate_id", "correlation_id", "payload",
                        "headers", "created_at", "stored_at", "state", "attempts", "replays",
                        "approximate_dispatch_count", "last_dispatched_at"});
    };
    co_await db.impl().writer().transact_quietly(work);
}

awaitable<void> create_inbox_table(Database& db, std::string table) {
    const std::string schema = inbox_schema(table);
    const auto work = [&](detail::Connection& connection) {
        detail::create(connection, table, schema,
                       {"consumer", "message_id", "state", "created_at", "stored_at", "payload_hash"});
    };
    co_await db.impl().writer().transact_quietly(work);
}

}  // namespace txm::sqlite
