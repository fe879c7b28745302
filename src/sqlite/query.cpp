#include "sqlite/cached_statement.hpp"
#include "sqlite/connection.hpp"
#include "txm/error.hpp"

#include <array>

namespace txm::sqlite::detail {
namespace {

constexpr std::size_t uuid_length = 36;
constexpr std::size_t max_length = 1'000'000'000;  // SQLITE_MAX_LENGTH, unless compiled otherwise

int length_of(std::string_view text) {
    if (text.size() > max_length)
        throw Error(Errc::statement_failed,
                    "a text of " + std::to_string(text.size()) + " bytes is too long for SQLite");
    return static_cast<int>(text.size());
}

}  // namespace

Query::Query(CachedStatement& statement) noexcept : statement_(&statement) {
    statement.in_use = true;
}

Query::~Query() {
    if (!statement_)
        return;
    if (statement_->owned_by_query) {
        delete statement_;
        return;
    }
    sqlite3_reset(statement_->handle);
    sqlite3_clear_bindings(statement_->handle);
    statement_->in_use = false;
}

void Query::check(int code) const {
    if (code == SQLITE_OK)
        return;
    sqlite3* const db = sqlite3_db_handle(statement_->handle);
    if (statement_->user)
        throw_user_error(db, code, statement_->sql);
    throw_error(db, code, "a statement");
}

Query& Query::bind(int index, std::int64_t value) {
    check(sqlite3_bind_int64(statement_->handle, index, value));
    return *this;
}

Query& Query::bind(int index, std::string_view text) {
    // A null pointer would bind null, not an empty text.
    const char* const data = text.data() ? text.data() : "";
    check(sqlite3_bind_text(statement_->handle, index, data, length_of(text), SQLITE_STATIC));
    return *this;
}

Query& Query::bind(int index, const Value& value) {
    if (const auto* integer = std::get_if<std::int64_t>(&value))
        return bind(index, *integer);
    if (const auto* text = std::get_if<std::string>(&value))
        return bind(index, std::string_view(*text));
    if (const auto* real = std::get_if<double>(&value))
        check(sqlite3_bind_double(statement_->handle, index, *real));
    else if (const auto* blob = std::get_if<Blob>(&value))
        check(sqlite3_bind_blob64(statement_->handle, index,
                                  blob->empty() ? static_cast<const void*>("") : blob->data(), blob->size(),
                                  SQLITE_STATIC));
    else
        return bind_null(index);
    return *this;
}

Query& Query::bind_null(int index) {
    check(sqlite3_bind_null(statement_->handle, index));
    return *this;
}

Query& Query::bind(int index, const Uuid& id) {
    std::array<char, uuid_length> text;
    id.write_to(text.data());
    check(sqlite3_bind_text(statement_->handle, index, text.data(), uuid_length, SQLITE_TRANSIENT));
    return *this;
}

Query& Query::bind(int index, Timestamp time) {
    const std::string text = to_iso8601(time);
    check(sqlite3_bind_text(statement_->handle, index, text.data(), length_of(text), SQLITE_TRANSIENT));
    return *this;
}

bool Query::step() {
    if (statement_->transaction_required && sqlite3_get_autocommit(sqlite3_db_handle(statement_->handle)))
        throw Error(Errc::statement_failed,
                    "the transaction was rolled back by an earlier statement; nothing of it was written");
    const int code = sqlite3_step(statement_->handle);
    if (code == SQLITE_ROW)
        return true;
    if (code != SQLITE_DONE)
        check(code);
    return false;
}

std::size_t Query::run(std::vector<Row>* rows) {
    sqlite3* const db = sqlite3_db_handle(statement_->handle);
    const auto before = sqlite3_total_changes64(db);
    while (step())
        if (rows)
            rows->push_back(row());
    // The last count stands when a statement changes no row, such as a DDL.
    if (sqlite3_total_changes64(db) == before)
        return 0;
    return static_cast<std::size_t>(sqlite3_changes64(db));
}

void Query::reset() noexcept {
    sqlite3_reset(statement_->handle);
}

bool Query::is_null(int column) const {
    return sqlite3_column_type(statement_->handle, column) == SQLITE_NULL;
}

std::int64_t Query::integer(int column) const {
    return sqlite3_column_int64(statement_->handle, column);
}

std::string_view Query::text(int column) const {
    const auto* text = sqlite3_column_text(statement_->handle, column);
    if (!text)
        return {};
    return {reinterpret_cast<const char*>(text),
            static_cast<std::size_t>(sqlite3_column_bytes(statement_->handle, column))};
}

Uuid Query::uuid(int column) const {
    const std::string_view value = text(column);
    const auto id = Uuid::try_parse(value);
    if (!id)
        throw Error(Errc::invalid_message, std::string("column ") + sqlite3_column_name(statement_->handle, column) +
                                               " should be a UUID in its 36-character text form: \"" +
                                               std::string(value.substr(0, 80)) + "\"");
    return *id;
}

Timestamp Query::time(int column) const {
    const std::string_view value = text(column);
    const auto time = try_parse_iso8601(value);
    if (!time)
        throw Error(Errc::invalid_message, std::string("column ") + sqlite3_column_name(statement_->handle, column) +
                                               " should be a time in ISO 8601: \"" + std::string(value.substr(0, 80)) +
                                               "\"");
    return *time;
}

Value Query::value(int column) const {
    switch (sqlite3_column_type(statement_->handle, column)) {
        case SQLITE_INTEGER: return integer(column);
        case SQLITE_FLOAT: return sqlite3_column_double(statement_->handle, column);
        case SQLITE_TEXT: return std::string(text(column));
        case SQLITE_BLOB: {
            const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_->handle, column));
            const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_->handle, column));
            return data ? Blob(data, data + size) : Blob{};
        }
        default: return std::monostate{};
    }
}

Row Query::row() const {
    Row row;
    const int count = columns();
    row.reserve(static_cast<std::size_t>(count));
    for (int column = 0; column < count; ++column)
        row.push_back(value(column));
    return row;
}

int Query::columns() const {
    return sqlite3_column_count(statement_->handle);
}

bool Query::is_read_only() const noexcept {
    return sqlite3_stmt_readonly(statement_->handle) != 0;
}

sqlite3_stmt* Query::handle() const noexcept {
    return statement_->handle;
}

}  // namespace txm::sqlite::detail
