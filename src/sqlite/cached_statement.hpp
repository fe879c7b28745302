#pragma once

#include <sqlite3.h>

#include <string>

namespace txm::sqlite::detail {

/// A prepared statement of a connection's cache.
struct CachedStatement {
    CachedStatement(std::string text, bool is_user, const bool& needs_transaction)
        : sql(std::move(text)), user(is_user), transaction_required(needs_transaction) {}
    CachedStatement(const CachedStatement&) = delete;
    CachedStatement& operator=(const CachedStatement&) = delete;
    ~CachedStatement() { sqlite3_finalize(handle); }

    std::string sql;
    sqlite3_stmt* handle = nullptr;
    bool user;
    bool in_use = false;
    bool owned_by_query = false;  ///< prepared beside the cache, because the cached one was in use
    const bool& transaction_required;
};

}  // namespace txm::sqlite::detail
