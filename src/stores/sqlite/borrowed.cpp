#include "sqlite/connection.hpp"
#include "txm/error.hpp"
#include "txm/sqlite_borrowed.hpp"

#include <sqlite3.h>

#include <memory>
#include <stdexcept>

namespace txm::borrowed {
namespace {

struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using Prepared = std::unique_ptr<sqlite3_stmt, Finalize>;

void check(sqlite3* connection, int code, const Statement& statement) {
    if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        sqlite::detail::throw_error(connection, code, statement.sql().substr(0, 40));
}

// Texts and blobs live in the statement, longer than the prepared one.
int bind(sqlite3_stmt* prepared, int index, const Value& value) {
    if (const auto* text = std::get_if<std::string>(&value))
        return sqlite3_bind_text64(prepared, index, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
    if (const auto* integer = std::get_if<std::int64_t>(&value))
        return sqlite3_bind_int64(prepared, index, *integer);
    if (const auto* real = std::get_if<double>(&value))
        return sqlite3_bind_double(prepared, index, *real);
    if (const auto* blob = std::get_if<Blob>(&value))
        return sqlite3_bind_blob64(prepared, index, blob->empty() ? static_cast<const void*>("") : blob->data(),
                                   blob->size(), SQLITE_STATIC);
    return sqlite3_bind_null(prepared, index);
}

std::size_t execute(sqlite3* connection, const Statement& statement) {
    if (sqlite3_get_autocommit(connection) != 0)
        throw Error(Errc::not_in_transaction,
                    "the connection is not in a transaction, so that the message and your writes would not be one: "
                    "BEGIN first");
    sqlite3_stmt* raw = nullptr;
    check(connection,
          sqlite3_prepare_v2(connection, statement.sql().c_str(), static_cast<int>(statement.sql().size() + 1), &raw,
                             nullptr),
          statement);
    const Prepared prepared(raw);
    int index = 0;
    for (const Value& value : statement.parameters())
        check(connection, bind(raw, ++index, value), statement);
    const auto before = sqlite3_total_changes64(connection);
    int code = SQLITE_ROW;
    while (code == SQLITE_ROW)
        code = sqlite3_step(raw);
    check(connection, code, statement);
    if (sqlite3_total_changes64(connection) == before)
        return 0;
    return static_cast<std::size_t>(sqlite3_changes64(connection));
}

}  // namespace

Execute sqlite_transaction(sqlite3* connection) {
    if (!connection)
        throw std::invalid_argument("txm: sqlite_transaction() got a null connection");
    return [connection](const Statement& statement) { return execute(connection, statement); };
}

}  // namespace txm::borrowed
