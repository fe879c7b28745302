#include "sqlite/connection.hpp"

#include "core/identifier.hpp"
#include "core/utf8.hpp"
#include "txm/error.hpp"

#include <sqlite3.h>

#include <algorithm>

namespace txm::sqlite::detail {
namespace {

struct Named {
    int code;
    const char* name;
};

constexpr Named names[] = {
    {SQLITE_ERROR, "SQLITE_ERROR"},
    {SQLITE_PERM, "SQLITE_PERM"},
    {SQLITE_ABORT, "SQLITE_ABORT"},
    {SQLITE_BUSY, "SQLITE_BUSY"},
    {SQLITE_BUSY_RECOVERY, "SQLITE_BUSY_RECOVERY"},
    {SQLITE_BUSY_SNAPSHOT, "SQLITE_BUSY_SNAPSHOT"},
    {SQLITE_LOCKED, "SQLITE_LOCKED"},
    {SQLITE_NOMEM, "SQLITE_NOMEM"},
    {SQLITE_READONLY, "SQLITE_READONLY"},
    {SQLITE_READONLY_DBMOVED, "SQLITE_READONLY_DBMOVED"},
    {SQLITE_READONLY_DIRECTORY, "SQLITE_READONLY_DIRECTORY"},
    {SQLITE_READONLY_CANTINIT, "SQLITE_READONLY_CANTINIT"},
    {SQLITE_INTERRUPT, "SQLITE_INTERRUPT"},
    {SQLITE_IOERR, "SQLITE_IOERR"},
    {SQLITE_IOERR_READ, "SQLITE_IOERR_READ"},
    {SQLITE_IOERR_SHORT_READ, "SQLITE_IOERR_SHORT_READ"},
    {SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE"},
    {SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC"},
    {SQLITE_IOERR_TRUNCATE, "SQLITE_IOERR_TRUNCATE"},
    {SQLITE_IOERR_SHMSIZE, "SQLITE_IOERR_SHMSIZE"},
    {SQLITE_IOERR_SHMMAP, "SQLITE_IOERR_SHMMAP"},
    {SQLITE_CORRUPT, "SQLITE_CORRUPT"},
    {SQLITE_FULL, "SQLITE_FULL"},
    {SQLITE_CANTOPEN, "SQLITE_CANTOPEN"},
    {SQLITE_PROTOCOL, "SQLITE_PROTOCOL"},
    {SQLITE_SCHEMA, "SQLITE_SCHEMA"},
    {SQLITE_TOOBIG, "SQLITE_TOOBIG"},
    {SQLITE_CONSTRAINT, "SQLITE_CONSTRAINT"},
    {SQLITE_CONSTRAINT_CHECK, "SQLITE_CONSTRAINT_CHECK"},
    {SQLITE_CONSTRAINT_FOREIGNKEY, "SQLITE_CONSTRAINT_FOREIGNKEY"},
    {SQLITE_CONSTRAINT_NOTNULL, "SQLITE_CONSTRAINT_NOTNULL"},
    {SQLITE_CONSTRAINT_PRIMARYKEY, "SQLITE_CONSTRAINT_PRIMARYKEY"},
    {SQLITE_CONSTRAINT_ROWID, "SQLITE_CONSTRAINT_ROWID"},
    {SQLITE_CONSTRAINT_TRIGGER, "SQLITE_CONSTRAINT_TRIGGER"},
    {SQLITE_CONSTRAINT_UNIQUE, "SQLITE_CONSTRAINT_UNIQUE"},
    {SQLITE_CONSTRAINT_DATATYPE, "SQLITE_CONSTRAINT_DATATYPE"},
    {SQLITE_MISMATCH, "SQLITE_MISMATCH"},
    {SQLITE_MISUSE, "SQLITE_MISUSE"},
    {SQLITE_AUTH, "SQLITE_AUTH"},
    {SQLITE_RANGE, "SQLITE_RANGE"},
    {SQLITE_NOTADB, "SQLITE_NOTADB"},
};

std::string file_of(sqlite3* db) {
    const char* name = db ? sqlite3_db_filename(db, "main") : nullptr;
    return name && *name ? name : "the database";
}

// What is wrong with the file or its disk, and what to do; empty when the SQL is to blame.
std::string trouble_with_file(int code, const std::string& file) {
    switch (code & 0xff) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return file + " is locked by another program for longer than the busy timeout: try again when that is done";
        case SQLITE_FULL: return "no room to write to " + file + ": the disk, or the page limit of the file, is full";
        case SQLITE_READONLY:
        case SQLITE_PERM: return file + " cannot be written: check the permissions of the file and of its directory";
        case SQLITE_CANTOPEN: return file + " cannot be opened: check that the path exists and its permissions";
        case SQLITE_NOTADB: return file + " is not an SQLite database: check the path";
        case SQLITE_CORRUPT: return file + " is damaged: restore a backup, or see `pragma integrity_check`";
        case SQLITE_IOERR: return "an operation on " + file + " failed: check the disk";
        case SQLITE_PROTOCOL:
            return file + " could not be locked: check that its file system supports locks and shared memory";
        case SQLITE_NOMEM: return "no memory for an operation on " + file;
        default: return {};
    }
}

std::string shortened(std::string_view sql) {
    constexpr std::size_t limit = 80;
    std::string text(txm::detail::utf8_prefix(sql, limit));
    std::replace(text.begin(), text.end(), '\n', ' ');
    return sql.size() > limit ? text + "…" : text;
}

}  // namespace

std::string code_name(int code) {
    for (const auto& named : names)
        if (named.code == code)
            return named.name;
    for (const auto& named : names)
        if (named.code == (code & 0xff))
            return std::string(named.name) + " (" + std::to_string(code) + ")";
    return "SQLite error " + std::to_string(code);
}

void throw_error(sqlite3* db, int code, std::string_view doing) {
    const std::string message = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);
    const std::string file = file_of(db);
    if (message.starts_with("no such table: ") || message.starts_with("no such column: ") ||
        message.find(" has no column named ") != std::string::npos)
        throw Error(Errc::schema_missing, message + " in " + file + ": run `txm migrate --store sqlite:" + file + "`",
                    {}, code_name(code));
    std::string what = trouble_with_file(code, file);
    const bool known = !what.empty();
    if (!known)
        what = std::string(doing) + " on " + file + " failed";
    throw Error(known ? Errc::store_unavailable : Errc::statement_failed, what + " (" + message + ")", {},
                code_name(code));
}

void throw_user_error(sqlite3* db, int code, std::string_view sql) {
    if (!trouble_with_file(code, {}).empty())
        throw_error(db, code, "a statement");
    std::string what = "the statement `" + shortened(sql) + "` failed: " + sqlite3_errmsg(db);
    if ((code & 0xff) == SQLITE_AUTH)
        what += "; a session's SQL must not begin or end transactions, attach databases or use pragmas";
    throw Error(Errc::statement_failed, what, {}, code_name(code));
}

void check_table_name(std::string_view table) {
    txm::detail::checked_identifier(table);
}

}  // namespace txm::sqlite::detail
