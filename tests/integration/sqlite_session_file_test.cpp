#include "sqlite_session_fixture.hpp"

#include "sqlite/lease.hpp"
#include "txm/sqlite_feed.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using Event = sqlite::detail::WakeListener::Event;

class SqliteFile : public SqliteSession {
protected:
    void commit(const std::string& id) {
        sqlite::Session session{*db};
        session.add("insert into account values (?, 1)", id);
        sync_wait(session.commit());
    }

    sqlite3* foreign() {
        sqlite3* connection = nullptr;
        EXPECT_EQ(sqlite3_open(path.c_str(), &connection), SQLITE_OK);
        return connection;
    }
    static int run(sqlite3* connection, const char* sql) {
        return sqlite3_exec(connection, sql, nullptr, nullptr, nullptr);
    }
};

TEST_F(SqliteFile, plain_insert_of_three_columns_is_a_message) {
    raw("insert into outbox (topic, aggregate_id, payload) values ('t', 'a', '{}')");
    sqlite::Session session{*db};
    sqlite::OutboxRepository events{"outbox", session, topics()};
    const auto messages = sync_wait(events.get_not_dispatched_messages());
    ASSERT_EQ(messages.size(), 1u);
    const StoredMessage& message = messages[0];
    EXPECT_EQ(message.message_id.bytes[6] >> 4, 7);
    EXPECT_EQ(message.message_id.bytes[8] >> 6, 2);
    std::int64_t milliseconds = 0;
    for (std::size_t i = 0; i < 6; ++i)
        milliseconds = milliseconds << 8 | message.message_id.bytes[i];
    EXPECT_EQ(milliseconds, message.stored_at.time_since_epoch() / 1ms);
    EXPECT_EQ(message.created_at, message.stored_at);
    EXPECT_LT(now() - message.stored_at, 1min);
    EXPECT_EQ(message.correlation_id, message.message_id);
    EXPECT_EQ(message.state, MessageState::pending);
}

TEST_F(SqliteFile, creating_again_keeps_what_is_there_and_foreign_tables_are_refused) {
    commit("a");
    sync_wait(sqlite::create_outbox_table(*db));
    sync_wait(sqlite::create_outbox_table(*db, "second"));
    EXPECT_EQ(count("second"), "0");
    const auto error = thrown_by<Error>([&] { sync_wait(sqlite::create_outbox_table(*db, "account")); });
    EXPECT_EQ(error->code(), Errc::invalid_configuration);
    EXPECT_THROW(sync_wait(sqlite::create_inbox_table(*db, "in box")), std::invalid_argument);
}

TEST_F(SqliteFile, missing_table_says_what_to_run) {
    sqlite::Database bare{scratch / "bare.db"};
    sqlite::Session session{bare};
    sqlite::OutboxRepository events{"outbox", session, topics()};
    events.publish(Noted{});
    const auto error = thrown_by<Error>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(error->code(), Errc::schema_missing);
    EXPECT_NE(std::string(error->what()).find("txm migrate --store sqlite:" + (scratch / "bare.db")), std::string::npos)
        << error->what();
}

TEST_F(SqliteFile, schema_newer_than_the_program) {
    raw("update txm_meta set value = '99' where key = 'schema_version'");
    open();
    sqlite::Session session{*db};
    sqlite::InboxRepository inbox{"inbox", session};
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(inbox.get(new_uuid())); })->code(), Errc::schema_too_new);
    inbox.save(new_uuid());
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(session.commit()); })->code(), Errc::schema_too_new);
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(sqlite::create_inbox_table(*db)); })->code(), Errc::schema_too_new);
}

TEST_F(SqliteFile, not_a_database) {
    std::ofstream(scratch / "text") << std::string(5'000, 'x');
    const auto error = thrown_by<Error>([&] { sqlite::Database{scratch / "text"}; });
    EXPECT_EQ(error->code(), Errc::store_unavailable);
    EXPECT_NE(std::string(error->what()).find("is not an SQLite database"), std::string::npos) << error->what();
    thrown_by<Error>([&] { sqlite::Database{scratch / "no/such/directory.db"}; });
    sqlite::DatabaseOptions existing;
    existing.create = false;
    thrown_by<Error>([&] { sqlite::Database(scratch / "missing.db", existing); });
    EXPECT_FALSE(std::filesystem::exists(scratch / "missing.db"));
}

TEST_F(SqliteFile, read_only_file) {
    const std::string file = scratch / "frozen.db";
    sqlite3* connection = nullptr;
    sqlite3_open(file.c_str(), &connection);
    run(connection, "create table a (b)");
    sqlite3_close(connection);
    ::chmod(file.c_str(), 0444);
    std::filesystem::permissions(scratch / "", std::filesystem::perms::all);
    const int code = in_child([&] {
        if (::geteuid() == 0 && ::seteuid(65'534) != 0)
            return 1;
        try {
            sqlite::Database frozen{file};
        } catch (const Error& error) {
            return std::string(error.what()).find("cannot be written") != std::string::npos ? 0 : 2;
        }
        return 3;
    });
    EXPECT_EQ(code, 0);
}

TEST_F(SqliteFile, locked_by_a_foreign_writer) {
    options.busy_timeout = 50ms;
    open();
    sqlite3* const other = foreign();
    ASSERT_EQ(run(other, "begin immediate"), SQLITE_OK);
    sqlite::Session session{*db};
    session.add("insert into account values ('a', 1)");
    const auto error = thrown_by<Error>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(error->code(), Errc::store_unavailable);
    EXPECT_EQ(error->native_code(), "SQLITE_BUSY");
    EXPECT_TRUE(error->retryable());
    run(other, "rollback");
    sqlite3_close(other);
    commit("b");
    EXPECT_EQ(raw("select group_concat(id) from account"), "b");
}

TEST_F(SqliteFile, several_processes_at_once) {
    db.reset();
    std::vector<pid_t> children;
    for (int process = 0; process < 4; ++process) {
        const pid_t child = ::fork();
        if (child == 0) {
            try {
                sqlite::Database mine{path, options};
                for (int i = 0; i < 50; ++i) {
                    sqlite::Session session{mine};
                    sqlite::OutboxRepository events{"outbox", session, topics()};
                    session.add("insert into account values (?, 1)", std::to_string(process) + "/" + std::to_string(i));
                    events.publish(Noted{});
                    sync_wait(session.commit());
                }
                ::_exit(0);
            } catch (...) {
                ::_exit(1);
            }
        }
        children.push_back(child);
    }
    for (const pid_t child : children) {
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(count("account"), "200");
    EXPECT_EQ(raw("select count(*) || ' ' || max(sequence) from outbox"), "200 200");
}

TEST_F(SqliteFile, wakes_listeners_in_this_process) {
    const auto listener = db->impl().listen();
    EXPECT_EQ(sync_wait(listener->wait(1ms)), Event::timeout);
    commit("a");
    EXPECT_EQ(sync_wait(listener->wait(1min)), Event::wake_file);
    listener->interrupt();
    EXPECT_EQ(sync_wait(listener->wait(1min)), Event::interrupted);
    EXPECT_EQ(sync_wait(listener->wait(1min)), Event::interrupted);
}

TEST_F(SqliteFile, wakes_listeners_in_other_processes) {
    if (sqlite::detail::polls_only(path))
        GTEST_SKIP() << "the scratch directory is on a file system without notification";
    sqlite::detail::WakeListener listener{path};
    db.reset();  // a process with threads should not fork
    EXPECT_EQ(in_child([&] {
                  sqlite::Database mine{path, options};
                  sqlite::Session session{mine};
                  session.add("insert into account values ('a', 1)");
                  sync_wait(session.commit());
                  return 0;
              }),
              0);
    EXPECT_EQ(sync_wait(listener.wait(1min)), Event::wake_file);
    raw("insert into account values ('b', 1)");  // a program that does not know txm
    EXPECT_EQ(sync_wait(listener.wait(1min)), Event::wal_file);
}

TEST_F(SqliteFile, wake_file_deleted_and_recreated) {
    if (sqlite::detail::polls_only(path))
        GTEST_SKIP() << "the scratch directory is on a file system without notification";
    commit("a");  // the wake file is there
    sqlite::detail::WakeListener listener{path, sqlite::detail::WakeListener::Writers::txm_only};
    std::filesystem::remove(path + "-txm-wake");
    commit("b");
    EXPECT_EQ(sync_wait(listener.wait(1min)), Event::wake_file);
    EXPECT_EQ(sync_wait(listener.wait(1ms)), Event::timeout);
    commit("c");
    EXPECT_EQ(sync_wait(listener.wait(1min)), Event::wake_file);
}

TEST_F(SqliteFile, neighbours_of_the_file_wake_nobody) {
    sqlite::detail::WakeListener listener{path};
    std::atomic<bool> is_over{false};
    std::thread neighbour([&] {
        std::ofstream one{path + ".log"}, other{path + ".err"};
        while (!is_over) {
            one << "a line" << std::endl;
            other << "a line" << std::endl;
        }
    });
    EXPECT_EQ(sync_wait(listener.wait(50ms)), Event::timeout);
    is_over = true;
    neighbour.join();
}

TEST_F(SqliteFile, wal_deleted_and_recreated) {
    sqlite::detail::WakeListener listener{path};
    sqlite::detail::WalFlusher flusher{path};
    commit("a");
    flusher.flush();
    db.reset();  // the last connection deletes the -wal file
    ASSERT_FALSE(std::filesystem::exists(path + "-wal"));
    flusher.flush();
    open();
    while (sync_wait(listener.wait(1ms)) != Event::timeout) {}
    commit("b");
    flusher.flush();
    EXPECT_NE(sync_wait(listener.wait(1min)), Event::timeout);
    std::filesystem::remove(path + "-txm-wake");
    commit("c");
    EXPECT_TRUE(std::filesystem::exists(path + "-txm-wake"));
}

TEST_F(SqliteFile, script_runs_in_the_session) {
    const sqlite::Script script{*db,
                                "-- credit of who is new\n"
                                "insert into account values (:aggregate_id, json_extract(:payload, '$.cents'));\n"
                                "update account set credit = credit + 1 where id = :aggregate_id;"};
    StoredMessage message;
    message.aggregate_id = "a";
    message.payload = R"({"cents": 41})";
    sqlite::Session session{*db};
    script.add_to(session, message, "shop");
    sync_wait(session.commit());
    EXPECT_EQ(raw("select credit from account"), "42");

    const auto refused = [&](const std::string& text) {
        const auto error = thrown_by<Error>([&] { sqlite::Script(*db, text); });
        EXPECT_EQ(error->code(), Errc::invalid_configuration) << text;
        return std::string(error->what());
    };
    refused("");
    refused(" -- nothing\n;");
    refused("select 1; begin");
    refused("pragma synchronous = off");
    EXPECT_NE(refused("select 1; select :price").find("statement 2"), std::string::npos);
    refused("select ?");
    EXPECT_NE(refused("selct 1").find("syntax error"), std::string::npos);
}

TEST_F(SqliteFile, lease_excludes_and_is_given_back) {
    auto& writer = db->impl().writer();
    sqlite::detail::Lease first{writer, path, "relay", 10s}, second{writer, path, "relay", 10s},
        other{writer, path, "another", 10s};
    ASSERT_TRUE(sync_wait(first.take()));
    EXPECT_TRUE(first.fence().clean_start);
    EXPECT_TRUE(first.may_send());
    EXPECT_FALSE(sync_wait(second.take()));
    EXPECT_TRUE(sync_wait(other.take()));
    sync_wait(first.release());
    ASSERT_TRUE(sync_wait(second.take()));
    EXPECT_GT(second.fence().value, first.fence().value);
    EXPECT_TRUE(second.fence().clean_start);
    EXPECT_THROW(writer.transact_now([&](sqlite::detail::Connection& c) { first.check(c); }), FenceLostError);
    writer.transact_now([&](sqlite::detail::Connection& c) { second.check(c); });
}

TEST_F(SqliteFile, lease_of_a_killed_owner_is_taken_at_once) {
    db.reset();
    EXPECT_EQ(in_child([&] {
                  sqlite::Database mine{path, options};
                  sqlite::detail::Lease lease{mine.impl().writer(), path, "relay", 1h};
                  if (!sync_wait(lease.take()))
                      return 1;
                  ::raise(SIGKILL);
                  return 2;
              }),
              128 + SIGKILL);
    open();
    sqlite::detail::Lease lease{db->impl().writer(), path, "relay", 1h};
    ASSERT_TRUE(sync_wait(lease.take()));
    EXPECT_FALSE(lease.fence().clean_start);
}

TEST_F(SqliteFile, lease_of_a_frozen_owner_is_taken_after_its_term) {
    auto& writer = db->impl().writer();
    sqlite::detail::Lease frozen{writer, path, "relay", 30ms}, next{writer, path, "relay", 1h};
    ASSERT_TRUE(sync_wait(frozen.take()));
    while (!sync_wait(next.take())) {}
    EXPECT_FALSE(frozen.may_send());
    EXPECT_FALSE(next.fence().clean_start);
    EXPECT_FALSE(sync_wait(frozen.take()));
    EXPECT_FALSE(frozen.is_held());
    EXPECT_THROW(writer.transact_now([&](sqlite::detail::Connection& c) { frozen.check(c); }), FenceLostError);
    EXPECT_TRUE(next.may_send());
}

}  // namespace
}  // namespace txm::test
