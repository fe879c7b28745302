#include "raw.hpp"

#include "txm/timestamp.hpp"
#include "txm/uuid.hpp"

#include <sqlite3.h>
#include <stdexcept>

namespace txm::bench {

Raw::Raw(const std::string& path) {
    if (sqlite3_open(path.c_str(), &db_) != SQLITE_OK)
        throw std::runtime_error("cannot open " + path);
    sqlite3_busy_timeout(db_, 60'000);
    execute("pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on");
}

Raw::~Raw() {
    for (sqlite3_stmt* statement = nullptr; (statement = sqlite3_next_stmt(db_, nullptr));)
        sqlite3_finalize(statement);
    sqlite3_close(db_);
}

void Raw::execute(const char* sql) {
    if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        throw std::runtime_error(std::string(sql) + ": " + sqlite3_errmsg(db_));
}

sqlite3_stmt* Raw::prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK)
        throw std::runtime_error(std::string(sql) + ": " + sqlite3_errmsg(db_));
    return statement;
}

void bind(sqlite3_stmt* statement, int index, const std::string& text) {
    sqlite3_bind_text(statement, index, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
}

void bind(sqlite3_stmt* statement, int index, std::int64_t value) {
    sqlite3_bind_int64(statement, index, value);
}

void run(sqlite3_stmt* statement) {
    if (sqlite3_step(statement) != SQLITE_DONE)
        throw std::runtime_error(sqlite3_errmsg(sqlite3_db_handle(statement)));
    sqlite3_reset(statement);
}

void fill(const std::string& path, std::int64_t count, int aggregates) {
    Raw db{path};
    sqlite3_stmt* insert = db.prepare(insert_message);
    const std::string topic = "orders", type = "order-created", headers = "{}", time = to_iso8601(now());
    const std::string payload =
        R"({"order_id":"1f0c7a4e-0000-4000-8000-000000000000","total_cents":12345,"currency":"EUR"})";
    for (std::int64_t i = 0; i < count; ++i) {
        if (i % 10'000 == 0)
            db.execute("begin immediate");
        const std::string id = new_uuid().to_string(), aggregate = "customer-" + std::to_string(i % aggregates);
        bind(insert, 1, id);
        bind(insert, 2, topic);
        bind(insert, 3, type);
        bind(insert, 4, aggregate);
        bind(insert, 5, id);
        bind(insert, 6, payload);
        bind(insert, 7, headers);
        bind(insert, 8, time);
        bind(insert, 9, time);
        run(insert);
        if (i % 10'000 == 9'999 || i + 1 == count)
            db.execute("commit");
    }
    db.execute("pragma wal_checkpoint(truncate)");
}

}  // namespace txm::bench
