#pragma once

#include "sqlite/database_impl.hpp"
#include "support/scratch_directory.hpp"
#include "txm/error.hpp"
#include "txm/sqlite.hpp"
#include "txm/sync_wait.hpp"
#include "txm/unit_of_work.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <sys/wait.h>
#include <unistd.h>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace txm::test {

struct Noted {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    std::string aggregate_id = "a";
    Timestamp created_at = now();
    std::string text = "{}";
    std::string serialize() const { return text; }
};

inline const TopicMap& topics() {
    static const TopicMap map{topic<Noted>("notes", "noted")};
    return map;
}

/// A file of its own with an outbox, an inbox and two tables of an application.
class SqliteSession : public testing::Test {
protected:
    SqliteSession() {
        options.busy_timeout = std::chrono::milliseconds(10'000);
        open();
        sync_wait(sqlite::create_outbox_table(*db));
        sync_wait(sqlite::create_inbox_table(*db));
        raw("create table account (id text primary key, credit integer not null)");
        raw("create table parent (id integer primary key);"
            "create table child (parent integer references parent (id) deferrable initially deferred)");
    }

    void open() { db = std::make_unique<sqlite::Database>(path, options); }

    /// What another program does. @returns the first column of the first row
    std::string raw(const std::string& sql) const {
        sqlite3* connection = nullptr;
        EXPECT_EQ(sqlite3_open(path.c_str(), &connection), SQLITE_OK);
        sqlite3_busy_timeout(connection, 10'000);
        std::string first;
        const auto keep = [](void* result, int, char** values, char**) {
            *static_cast<std::string*>(result) = values[0] ? values[0] : "null";
            return 0;
        };
        char* error = nullptr;
        EXPECT_EQ(sqlite3_exec(connection, sql.c_str(), keep, &first, &error), SQLITE_OK) << (error ? error : "");
        sqlite3_free(error);
        sqlite3_close(connection);
        return first;
    }

    std::string count(const std::string& table) const { return raw("select count(*) from " + table); }

    /// Runs `body` in a process of its own, which ends without any cleaning up; gives its exit code.
    static int in_child(const std::function<int()>& body) {
        const pid_t child = ::fork();
        if (child == 0)
            ::_exit(body());
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

    ScratchDirectory scratch;
    std::string path = scratch / "app.db";
    sqlite::DatabaseOptions options;
    std::unique_ptr<sqlite::Database> db;
};

/// Handles one message.
class Work : public UnitOfWork {
public:
    Work(sqlite::Database& db, const Incoming& incoming)
        : UnitOfWork(incoming), session_(db), inbox_("inbox", session_), events("outbox", session_, topics()) {}
    InboxRepository& inbox() override { return inbox_; }
    sqlite::Session& session() override { return session_; }

private:
    sqlite::Session session_;
    sqlite::InboxRepository inbox_;

public:
    sqlite::OutboxRepository events;
};

/// The error that `body` throws, or a failure of the test.
template <class E, class F>
std::optional<E> thrown_by(F&& body) {
    try {
        body();
    } catch (const E& error) {
        return error;
    } catch (const std::exception& other) {
        ADD_FAILURE() << "another error: " << other.what();
        return std::nullopt;
    }
    ADD_FAILURE() << "nothing was thrown";
    return std::nullopt;
}

/// Sessions that commit while a first one holds the writer, and so share one transaction.
class Group {
public:
    explicit Group(sqlite::Database& db) : db_(db), first_(db) {
        boost::asio::co_spawn(io_, first_.query("select 1"), [](std::exception_ptr, std::vector<Row>) {});
        io_.run();
    }

    sqlite::Session& add() { return *sessions_.emplace_back(std::make_unique<sqlite::Session>(db_)); }

    /// Commits all together; the results in the order of add().
    std::vector<std::exception_ptr> commit() {
        io_.restart();
        std::vector<std::exception_ptr> results(sessions_.size());
        for (std::size_t i = 0; i < sessions_.size(); ++i)
            boost::asio::co_spawn(io_, sessions_[i]->commit(), [&results, i](std::exception_ptr e) { results[i] = e; });
        io_.poll();  // now they are queued
        first_.rollback();
        io_.run();
        return results;
    }

private:
    sqlite::Database& db_;
    boost::asio::io_context io_;
    sqlite::Session first_;
    std::vector<std::unique_ptr<sqlite::Session>> sessions_;
};

inline std::string message_of(const std::exception_ptr& error) {
    try {
        if (error)
            std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    }
    return "success";
}

}  // namespace txm::test
