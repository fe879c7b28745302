#include "sqlite/connection.hpp"

#include "sqlite/cached_statement.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <list>
#include <thread>
#include <unordered_map>

namespace txm::sqlite::detail {
namespace {

using Clock = std::chrono::steady_clock;
using Deadline = std::optional<Clock::time_point>;

constexpr std::size_t max_cached = 256;
constexpr int operations_between_looks = 10'000;

struct BusyWait {
    std::chrono::milliseconds timeout{};
    Clock::time_point since{};
};

// SQLite's own handler sleeps for whole milliseconds; another process holds the lock for about one flush.
int wait_for_lock(void* argument, int asked) noexcept {
    using namespace std::chrono_literals;
    auto& wait = *static_cast<BusyWait*>(argument);
    const auto now = Clock::now();
    if (asked == 0)
        wait.since = now;
    if (now - wait.since >= wait.timeout)
        return 0;
    std::this_thread::sleep_for(std::min<Clock::duration>(100us * (1 << std::min(asked / 4, 8)), 20ms));
    return 1;
}

int authorize(void* preparing_user_sql, int action, const char*, const char*, const char*, const char*) noexcept {
    if (!*static_cast<const bool*>(preparing_user_sql))
        return SQLITE_OK;
    switch (action) {
        case SQLITE_TRANSACTION:
        case SQLITE_SAVEPOINT:
        case SQLITE_ATTACH:
        case SQLITE_DETACH:
        case SQLITE_PRAGMA: return SQLITE_DENY;
        default: return SQLITE_OK;
    }
}

int is_too_late(void* deadline) noexcept {
    return Clock::now() >= **static_cast<const Deadline*>(deadline) ? 1 : 0;
}

// Is there anything but blanks, comments and semicolons?
bool has_statement(sqlite3* db, const char* tail) {
    while (*tail) {
        sqlite3_stmt* statement = nullptr;
        const char* next = nullptr;
        const int code = sqlite3_prepare_v2(db, tail, -1, &statement, &next);
        sqlite3_finalize(statement);
        if (code != SQLITE_OK || statement)
            return true;
        if (next == tail)
            return false;
        tail = next;
    }
    return false;
}

}  // namespace

struct Connection::Impl {
    using Statements = std::list<CachedStatement>;                             // most recently used first
    using Index = std::unordered_map<std::string_view, Statements::iterator>;  // keys: texts that the statements own

    ~Impl() {
        statements.clear();
        sqlite3_close_v2(db);
    }

    void open(Mode mode, const DatabaseOptions& options) {
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
        if (options.create && mode == Mode::read_write)
            flags |= SQLITE_OPEN_CREATE;
        const int code = sqlite3_open_v2(path.c_str(), &db, flags, nullptr);
        if (code != SQLITE_OK)
            throw Error(
                Errc::store_unavailable,
                path + " cannot be opened: check that it exists and its permissions (" + sqlite3_errmsg(db) + ")", {},
                code_name(code));
        busy.timeout = options.busy_timeout;
        sqlite3_busy_handler(db, &wait_for_lock, &busy);
        if (mode == Mode::read_write && sqlite3_db_readonly(db, "main") == 1)
            throw Error(Errc::store_unavailable, path + " cannot be written: check the permissions of the file", {},
                        code_name(SQLITE_READONLY));
        if (mode == Mode::read_write)
            enter_wal_mode();
        run(options.synchronous == Synchronous::full ? "pragma synchronous = full" : "pragma synchronous = normal");
        // Savepoints keep what they would have to restore: in memory, not in a temporary file.
        run("pragma foreign_keys = on; pragma temp_store = memory");
        if (mode == Mode::read_only)
            run("pragma query_only = on");
        sqlite3_set_authorizer(db, &authorize, &preparing_user_sql);
    }

    // Programs that open a new file at the same moment get in each other's way here, and SQLite does not wait.
    void enter_wal_mode() {
        const auto began = Clock::now();
        std::string journal;
        const auto keep = [](void* mode, int, char** values, char**) {
            *static_cast<std::string*>(mode) = values[0];
            return 0;
        };
        for (;;) {
            const int code = sqlite3_exec(db, "pragma journal_mode = wal", keep, &journal, nullptr);
            if (code == SQLITE_OK)
                break;
            if ((code & 0xff) != SQLITE_BUSY || Clock::now() - began >= busy.timeout)
                throw_error(db, code, "opening it");
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        if (journal != "wal")
            throw Error(Errc::store_unavailable,
                        path +
                            " cannot be put into WAL mode, which txm needs: check that its file "
                            "system has shared memory and locks (journal mode: " +
                            journal + ")");
    }

    void run(const char* sql) {
        const int code = sqlite3_exec(db, sql, nullptr, nullptr, nullptr);
        if (code != SQLITE_OK)
            throw_error(db, code, "a statement");
    }

    void compile(CachedStatement& statement) {
        preparing_user_sql = statement.user;
        const char* tail = nullptr;
        const int code = sqlite3_prepare_v3(db, statement.sql.c_str(), static_cast<int>(statement.sql.size() + 1),
                                            SQLITE_PREPARE_PERSISTENT, &statement.handle, &tail);
        const bool is_several = code == SQLITE_OK && statement.user && has_statement(db, tail);
        preparing_user_sql = false;
        if (code != SQLITE_OK && statement.user)
            throw_user_error(db, code, statement.sql);
        if (code != SQLITE_OK)
            throw_error(db, code, "a statement");
        if (!statement.handle)
            throw Error(Errc::statement_failed, "there is no statement in `" + statement.sql + "`");
        if (is_several)
            throw Error(Errc::statement_failed,
                        "there is more than one statement in `" + statement.sql.substr(0, 80) + "`: add one at a time");
    }

    CachedStatement& find(std::string_view sql, bool user) {
        Index& index = user ? user_cache : cache;
        if (const auto found = index.find(sql); found != index.end()) {
            if (!found->second->in_use) {
                statements.splice(statements.begin(), statements, found->second);
                return *found->second;
            }
            auto beside = std::make_unique<CachedStatement>(std::string(sql), user, transaction_required);
            compile(*beside);
            beside->owned_by_query = true;
            return *beside.release();
        }
        statements.emplace_front(std::string(sql), user, transaction_required);
        try {
            compile(statements.front());
            index.emplace(statements.front().sql, statements.begin());
        } catch (...) {
            statements.pop_front();
            throw;
        }
        evict();
        return statements.front();
    }

    void evict() {
        for (auto i = statements.end(); statements.size() > max_cached && std::prev(i) != statements.begin();) {
            --i;
            if (i->in_use)
                continue;
            (i->user ? user_cache : cache).erase(i->sql);
            i = statements.erase(i);
        }
    }

    std::string path;
    sqlite3* db = nullptr;
    BusyWait busy;
    Deadline deadline;
    bool transaction_required = false;
    bool preparing_user_sql = false;
    Statements statements;
    Index cache, user_cache;
};

Connection::Connection(const std::string& path, Mode mode, const DatabaseOptions& options)
    : impl_(std::make_unique<Impl>()) {
    impl_->path = path;
    impl_->open(mode, options);
}

Connection::Connection(Connection&&) noexcept = default;
Connection::~Connection() = default;

Query Connection::prepare(std::string_view sql) {
    return Query(impl_->find(sql, false));
}

Query Connection::prepare_user(std::string_view sql) {
    return Query(impl_->find(sql, true));
}

void Connection::execute(const char* sql) {
    impl_->run(sql);
}

const std::string& Connection::path() const noexcept {
    return impl_->path;
}

bool Connection::in_transaction() const noexcept {
    return sqlite3_get_autocommit(impl_->db) == 0;
}

void Connection::require_transaction(bool required) noexcept {
    impl_->transaction_required = required;
}

bool Connection::has_pending_deferred_constraints() const noexcept {
    int pending = 0;
    int unused = 0;
    sqlite3_db_status(impl_->db, SQLITE_DBSTATUS_DEFERRED_FKS, &pending, &unused, 0);
    return pending != 0;
}

void Connection::set_deadline(std::optional<Clock::time_point> deadline) noexcept {
    impl_->deadline = deadline;
    if (deadline)
        sqlite3_progress_handler(impl_->db, operations_between_looks, &is_too_late, &impl_->deadline);
    else
        sqlite3_progress_handler(impl_->db, 0, nullptr, nullptr);
}

sqlite3* Connection::handle() const noexcept {
    return impl_->db;
}

}  // namespace txm::sqlite::detail
