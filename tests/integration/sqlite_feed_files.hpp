#pragma once

#include "contract/feed_reader.hpp"
#include "support/scratch_directory.hpp"
#include "txm/sqlite_feed.hpp"

#include <sqlite3.h>

#include <stdexcept>
#include <string>

namespace txm::test {

/// A connection of a program that does not know txm.
class ForeignProgram {
public:
    explicit ForeignProgram(const std::string& path) {
        if (sqlite3_open(path.c_str(), &db_) != SQLITE_OK)
            throw std::runtime_error("cannot open " + path);
        sqlite3_busy_timeout(db_, 60'000);
    }
    ~ForeignProgram() { sqlite3_close(db_); }
    ForeignProgram(const ForeignProgram&) = delete;
    ForeignProgram& operator=(const ForeignProgram&) = delete;

    void run(const std::string& sql) {
        char* error = nullptr;
        if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &error) != SQLITE_OK)
            throw std::runtime_error(sql + ": " + (error ? error : "failed"));
    }
    std::string text(const std::string& sql) {
        std::string result;
        const auto take = [](void* to, int, char** values, char**) {
            *static_cast<std::string*>(to) = values[0] ? values[0] : "";
            return 0;
        };
        if (sqlite3_exec(db_, sql.c_str(), take, &result, nullptr) != SQLITE_OK)
            throw std::runtime_error(sql + ": " + sqlite3_errmsg(db_));
        return result;
    }
    long number(const std::string& sql) { return std::stol(text(sql)); }

private:
    sqlite3* db_ = nullptr;
};

inline std::string insert_sql(const std::string& aggregate_id, const std::string& payload) {
    return "insert into outbox (topic, aggregate_id, payload) values ('orders', '" + aggregate_id + "', '" + payload +
           "');";
}

/// `count` messages in one statement, spread over that many lanes `prefix`0, `prefix`1 …
inline std::string insert_many_sql(const std::string& prefix, long count, long lanes) {
    return "with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < " + std::to_string(count) +
           ") insert into outbox (topic, aggregate_id, payload) select 'orders', '" + prefix + "' || (i % " +
           std::to_string(lanes) + "), '" + prefix + "' || i from n;";
}

}  // namespace txm::test
