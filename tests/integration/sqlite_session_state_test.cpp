#include "sqlite_session_fixture.hpp"

#include <string>

// What a session says after something went wrong: a failure that the user forgot must never end as an acknowledged message.

namespace txm::test {
namespace {

class SqliteSessionState : public SqliteSession {
protected:
    /// What txm does around a handler that swallows what goes wrong.
    template <class F>
    void handle(const Uuid& id, F handler) {
        Work work{*db, id};
        const auto body = [](Work& w, F& run) -> awaitable<void> {
            run(w);
            co_await w.commit();
        };
        sync_wait(within(work, body(work, handler)));
    }

    static std::string swallowed(const std::function<void()>& action) {
        try {
            action();
        } catch (const std::exception& error) {
            return error.what();
        }
        return {};
    }

    void expect_nothing_written() {
        EXPECT_EQ(count("inbox"), "0");
        EXPECT_EQ(count("account"), "0");
        EXPECT_EQ(count("outbox"), "0");
    }
};

TEST_F(SqliteSessionState, query_that_lost_the_transaction_and_was_swallowed_is_no_success) {
    const auto refused = thrown_by<Error>([&] {
        handle(new_uuid(), [](Work& work) {
            sync_wait(work.session().query("insert into account values ('a', 1) returning id"));
            EXPECT_NE(
                swallowed([&] { sync_wait(work.session().query("insert or rollback into account values ('a', 2)")); }),
                "");
        });
    });
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->code(), Errc::commit_failed_before);
    expect_nothing_written();

    // A look at the data is no new work.
    thrown_by<Error>([&] {
        handle(new_uuid(), [](Work& work) {
            work.session().add("insert into account values ('a', 1)");
            work.session().add("insert into nowhere values (1)");
            EXPECT_NE(swallowed([&] { sync_wait(work.commit()); }), "");
            sync_wait(work.session().query("select 1"));
        });
    });
    expect_nothing_written();
}

TEST_F(SqliteSessionState, look_after_a_failed_commit_does_not_make_it_a_success) {
    sqlite::Session session{*db};
    session.add("insert into nowhere values (1)");
    thrown_by<Error>([&] { sync_wait(session.commit()); });
    sync_wait(session.query("select 1"));
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(session.commit()); })->code(), Errc::commit_failed_before);
    sync_wait(session.query("insert into account values ('a', 1)"));
    sync_wait(session.commit());
    EXPECT_EQ(count("account"), "1");
}

TEST_F(SqliteSessionState, rollback_of_the_session_after_a_failed_commit_keeps_the_inbox_row) {
    handle(new_uuid(), [](Work& work) {
        work.session().add("insert into nowhere values (1)");
        EXPECT_NE(swallowed([&] { sync_wait(work.commit()); }), "");
        work.session().rollback();  // decided: this message shall have no effect
    });
    EXPECT_EQ(count("inbox"), "1");
}

TEST_F(SqliteSessionState, expected_rows_of_a_query) {
    struct Changed : std::runtime_error {
        using std::runtime_error::runtime_error;
    };
    const auto spend = [](int rows) {
        return Statement{"update account set credit = credit - 1 returning credit"}.expect_rows(
            static_cast<std::size_t>(rows), Changed{"another number of accounts"});
    };
    raw("insert into account values ('a', 5), ('b', 5)");
    sqlite::Session session{*db};
    thrown_by<Changed>([&] { sync_wait(session.query(spend(1))); });
    // It undid itself alone.
    EXPECT_EQ(sync_wait(session.query(spend(2))).size(), 2u);
    sync_wait(session.commit());
    EXPECT_EQ(raw("select sum(credit) from account"), "8");
}

TEST_F(SqliteSessionState, mark_in_an_open_transaction_is_a_write) {
    const Noted noted;
    {
        sqlite::Session session{*db};
        sqlite::OutboxRepository events{"outbox", session, topics()};
        events.publish(noted);
        sync_wait(session.commit());
    }
    Work work{*db, new_uuid()};
    const auto forgets_commit = [](Work& w, const Uuid id) -> awaitable<void> {
        co_await w.session().query("select 1");
        co_await w.events.mark_as_dispatched(id);
        EXPECT_EQ(w.session().staged(), Staged::writes);
    };
    thrown_by<UncommittedSessionError>([&] { sync_wait(within(work, forgets_commit(work, noted.message_id))); });
    EXPECT_EQ(raw("select state from outbox"), "0");
}

TEST_F(SqliteSessionState, marking_a_dead_letter_ends_it_and_frees_its_lane) {
    const Noted noted;
    sqlite::Session session{*db};
    sqlite::OutboxRepository events{"outbox", session, topics()};
    events.publish(noted);
    sync_wait(session.commit());
    raw("update outbox set state = 3");
    raw("insert into txm_dead_letter (source, message_id, reason, held, aggregate_id, sequence) values"
        " ('outbox:outbox', '" +
        noted.message_id.to_string() + "', 'refused', 1, 'a', 1)");
    raw("insert into txm_lane (outbox, aggregate_id, from_sequence) values ('outbox', 'a', 1)");

    sync_wait(events.mark_as_dispatched(noted.message_id));
    EXPECT_EQ(raw("select state from outbox"), "1");
    EXPECT_EQ(count("txm_dead_letter"), "0");
    EXPECT_EQ(raw("select next_attempt_at is not null from txm_lane"), "1");
}

TEST_F(SqliteSessionState, database_that_goes_finishes_what_is_queued_and_rolls_back_what_is_open) {
    boost::asio::io_context io;
    sqlite::Session open{*db}, queued{*db}, waiting{*db};
    sync_wait(open.query("insert into account values ('open', 1)"));
    queued.add("insert into account values ('queued', 1)");
    std::string of_queued, of_waiting;
    boost::asio::co_spawn(io, queued.commit(), [&](std::exception_ptr e) { of_queued = message_of(e); });
    boost::asio::co_spawn(io, waiting.query("insert into account values ('waiting', 1)"),
                          [&](std::exception_ptr e, std::vector<Row>) { of_waiting = message_of(e); });
    io.poll();  // now they are queued
    db.reset();
    io.run();
    EXPECT_EQ(of_queued, "success");
    EXPECT_NE(of_waiting.find("rolled back"), std::string::npos) << of_waiting;
    EXPECT_EQ(raw("select group_concat(id) from account"), "queued");
}

}  // namespace
}  // namespace txm::test
