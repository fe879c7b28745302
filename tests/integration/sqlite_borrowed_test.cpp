#include "sqlite_session_fixture.hpp"

#include "txm/sqlite_borrowed.hpp"
#include "txm/sqlite_feed.hpp"

namespace txm::test {
namespace {

/// A blocking service: its own connection, its own transactions.
class SqliteBorrowed : public SqliteSession {
protected:
    ~SqliteBorrowed() override { sqlite3_close(mine); }

    void run(const char* sql) { ASSERT_EQ(sqlite3_exec(mine, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sql; }

    static sqlite3* opened(const std::string& file) {
        sqlite3* connection = nullptr;
        EXPECT_EQ(sqlite3_open(file.c_str(), &connection), SQLITE_OK);
        return connection;
    }

    sqlite3* const mine = opened(path);
    borrowed::OutboxRepository events{"outbox", borrowed::Dialect::sqlite, borrowed::sqlite_transaction(mine),
                                      topics()};
    borrowed::InboxRepository inbox{"inbox", borrowed::Dialect::sqlite, borrowed::sqlite_transaction(mine), "shop"};
};

TEST_F(SqliteBorrowed, adopt_autocommit_refused) {
    EXPECT_EQ(thrown_by<Error>([&] { events.publish(Noted{}); })->code(), Errc::not_in_transaction);
    EXPECT_EQ(thrown_by<Error>([&] { inbox.save(new_uuid()); })->code(), Errc::not_in_transaction);
    // A transaction that SQLite ended itself is none any more, whatever the service believes.
    run("insert into account values ('taken', 1); begin");
    events.publish(Noted{});
    EXPECT_NE(sqlite3_exec(mine, "insert or rollback into account values ('taken', 2)", nullptr, nullptr, nullptr),
              SQLITE_OK);
    EXPECT_EQ(thrown_by<Error>([&] { events.publish(Noted{}); })->code(), Errc::not_in_transaction);
    EXPECT_EQ(count("outbox"), "0");
    EXPECT_EQ(count("inbox"), "0");
}

TEST_F(SqliteBorrowed, adopted_publish_is_immediate) {
    const Uuid id = new_uuid();
    const Noted noted;
    run("begin; insert into account values ('a', 1)");
    borrowed::ensure_idempotence(id, inbox);
    events.publish(noted);
    thrown_by<MessageAlreadyProcessedError>([&] { borrowed::ensure_idempotence(id, inbox); });
    thrown_by<MessageAlreadyPublishedError>([&] { events.publish(noted); });
    EXPECT_EQ(count("outbox"), "0");
    run("commit");
    EXPECT_EQ(raw("select message_id from outbox"), noted.message_id.to_string());
    EXPECT_EQ(raw("select message_id || consumer from inbox"), id.to_string() + "shop");
    EXPECT_EQ(count("account"), "1");
}

TEST_F(SqliteBorrowed, rolled_back_is_not_processed) {
    const Uuid id = new_uuid();
    run("begin");
    borrowed::ensure_idempotence(id, inbox);
    events.publish(Noted{});
    run("rollback");
    EXPECT_EQ(count("outbox"), "0");
    run("begin");
    borrowed::ensure_idempotence(id, inbox);
    run("commit");
    EXPECT_EQ(count("inbox"), "1");
}

TEST_F(SqliteBorrowed, message_that_the_inbox_may_have_forgotten_is_refused) {
    const Timestamp edge = parse_iso8601("2026-01-02T00:00:00.000001Z");
    raw("insert into txm_meta values ('purged_to/inbox/shop', '2026-01-02T00:00:00.000001+00:00')");
    const Incoming at_edge{new_uuid(), "", edge}, after{new_uuid(), "", edge + std::chrono::microseconds(1)},
        unknown{new_uuid()}, other_consumer{new_uuid(), "other", edge};
    run("begin");
    EXPECT_EQ(thrown_by<OutsideInboxWindowError>([&] { inbox.save(at_edge); })->message_id(), at_edge.message_id);
    // The transaction is still good.
    inbox.save(after);
    inbox.save(unknown);
    inbox.save(other_consumer);
    thrown_by<MessageAlreadyProcessedError>([&] { inbox.save(after); });
    // Sent again by its sender's operator, who does not know what was applied and forgotten here.
    Incoming replayed = at_edge;
    replayed.replay = true;
    thrown_by<OutsideInboxWindowError>([&] { inbox.save(replayed); });
    run("commit");
    EXPECT_EQ(count("inbox"), "3");
}

TEST_F(SqliteBorrowed, sees_what_a_purge_forgot) {
    sqlite::ConsumerStore store{*db, "shop"};
    const Incoming old{new_uuid(), "", parse_iso8601("2020-01-01T00:00:00Z")};
    run("begin");
    inbox.save(old);
    run("update inbox set created_at = stored_at; commit");  // handled then
    EXPECT_EQ(sync_wait(store.purge_inbox(std::chrono::hours(24), 10)), 1u);
    EXPECT_EQ(count("inbox"), "0");
    run("begin");
    thrown_by<OutsideInboxWindowError>([&] { inbox.save(old); });
    run("rollback");
}

TEST_F(SqliteBorrowed, replay_of_a_dead_letter) {
    const Uuid id = new_uuid();
    raw("insert into inbox (consumer, message_id, state) values ('shop', '" + id.to_string() + "', 1)");
    run("begin");
    thrown_by<MessageAlreadyProcessedError>([&] { inbox.save(id); });
    Incoming replayed{id};
    replayed.replay = true;
    inbox.save(replayed);
    run("rollback");
    EXPECT_EQ(raw("select state from inbox"), "1");
    run("begin");
    inbox.save(replayed);
    thrown_by<MessageAlreadyProcessedError>([&] { inbox.save(replayed); });
    run("commit");
    EXPECT_EQ(raw("select state from inbox"), "0");
}

}  // namespace
}  // namespace txm::test
