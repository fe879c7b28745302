#include "sqlite_session_fixture.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <thread>

namespace txm::test {
namespace {

TEST_F(SqliteSession, commits_inbox_outbox_and_domain_rows_together) {
    sqlite::Session session{*db};
    sqlite::InboxRepository inbox{"inbox", session};
    sqlite::OutboxRepository events{"outbox", session, topics()};
    const Uuid id = new_uuid();
    Noted noted;
    noted.text = "{\"name\":\"Zürich\"}";

    sync_wait(ensure_idempotence(id, inbox));
    session.add("insert into account values (?, ?)", "a", 100);
    events.publish(noted);
    EXPECT_EQ(count("outbox"), "0");
    EXPECT_EQ(session.staged(), Staged::writes);
    sync_wait(session.commit());
    EXPECT_EQ(session.staged(), Staged::nothing);

    EXPECT_EQ(count("account"), "1");
    EXPECT_TRUE(sync_wait(inbox.get(id)));
    const auto stored = sync_wait(events.get(noted.message_id));
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->payload, noted.text);
    EXPECT_EQ(stored->created_at, noted.created_at);
    EXPECT_EQ(stored->correlation_id, noted.message_id);
    EXPECT_EQ(stored->topic, "notes");
    EXPECT_EQ(stored->type, "noted");
    EXPECT_EQ(stored->sequence, 1);
    EXPECT_FALSE(stored->is_dispatched());
    thrown_by<MessageAlreadyProcessedError>([&] { sync_wait(ensure_idempotence(id, inbox)); });
}

TEST_F(SqliteSession, marks_count_and_what_is_pending_is_listed_oldest_first) {
    sqlite::Session session{*db};
    sqlite::OutboxRepository events{"outbox", session, topics()};
    const std::vector<Noted> notes(3);
    events.publish(notes);
    sync_wait(session.commit());
    sync_wait(events.mark_as_dispatched(notes[1].message_id));
    sync_wait(events.mark_as_dispatched(notes[1].message_id));
    raw("update outbox set state = 2 where sequence = 1");

    const auto pending = sync_wait(events.get_not_dispatched_messages());
    ASSERT_EQ(pending.size(), 2u);
    EXPECT_EQ(pending[0].message_id, notes[0].message_id);
    EXPECT_EQ(pending[1].message_id, notes[2].message_id);
    EXPECT_EQ(sync_wait(events.get(notes[1].message_id))->approximate_dispatch_count, 2);
    EXPECT_TRUE(sync_wait(events.get(notes[1].message_id))->last_dispatched_at);
    thrown_by<MessageNotFoundError>([&] { sync_wait(events.mark_as_dispatched(new_uuid())); });
}

TEST_F(SqliteSession, rollback_then_retry_keeps_inbox_row) {
    const Uuid id = new_uuid();
    Work work{*db, id};
    const auto body = [](Work& w) -> awaitable<void> {
        w.session().add("insert into account values ('first try', 1)");
        w.rollback();
        w.session().add("insert into account values ('second try', 1)");
        co_await w.commit();
    };
    sync_wait(within(work, body(work)));
    EXPECT_EQ(raw("select group_concat(id) from account"), "second try");
    EXPECT_EQ(count("inbox"), "1");

    Work again{*db, id};
    thrown_by<MessageAlreadyProcessedError>([&] { sync_wait(within(again, body(again))); });
    EXPECT_EQ(count("account"), "1");
}

TEST_F(SqliteSession, second_commit_throws) {
    Work work{*db, new_uuid()};
    const auto body = [](Work& w) -> awaitable<void> {
        w.session().add("insert into account values ('a', 1)");
        co_await w.commit();
        co_await w.commit();  // with nothing staged: nothing happens
        w.session().add("insert into account values ('b', 1)");
        co_await w.commit();
    };
    thrown_by<AlreadyCommittedError>([&] { sync_wait(within(work, body(work))); });
    EXPECT_EQ(raw("select group_concat(id) from account"), "a");
}

TEST_F(SqliteSession, failed_commit_leaves_nothing_staged_and_does_not_look_like_success) {
    sqlite::Session session{*db};
    session.add("insert into account values ('a', 1)");
    session.add("insert into nowhere values (1)");
    const auto error = thrown_by<Error>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(error->code(), Errc::statement_failed);
    EXPECT_NE(std::string(error->what()).find("nowhere"), std::string::npos) << error->what();
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(session.commit()); })->code(), Errc::commit_failed_before);
    session.add("insert into account values ('b', 1)");
    sync_wait(session.commit());
    EXPECT_EQ(raw("select group_concat(id) from account"), "b");
}

TEST_F(SqliteSession, user_unique_violation_not_duplicate) {
    raw("insert into account values ('a', 1)");
    sqlite::Session session{*db};
    sqlite::InboxRepository inbox{"inbox", session};
    sqlite::OutboxRepository events{"outbox", session, topics()};
    const Uuid id = new_uuid();
    inbox.save(id);
    session.add("insert into account values ('a', 2)");
    events.publish(Noted{});
    const auto error = thrown_by<Error>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(error->code(), Errc::statement_failed);
    EXPECT_EQ(error->native_code(), "SQLITE_CONSTRAINT_PRIMARYKEY");
    EXPECT_FALSE(sync_wait(inbox.get(id)));
    EXPECT_EQ(count("outbox"), "0");

    // A trigger of the user's on our own table does not count as ours either.
    raw("create trigger audit after insert on outbox begin insert into account values ('a', 3); end");
    events.publish(Noted{});
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(session.commit()); })->code(), Errc::statement_failed);
}

TEST_F(SqliteSession, republish_id_after_delete) {
    sqlite::Session session{*db};
    sqlite::OutboxRepository events{"outbox", session, topics()};
    const Noted noted;
    events.publish(noted);
    sync_wait(session.commit());

    session.add("insert into account values ('a', 1)");
    events.publish(noted);
    EXPECT_EQ(thrown_by<MessageAlreadyPublishedError>([&] { sync_wait(session.commit()); })->message_id(),
              noted.message_id);
    EXPECT_EQ(count("account"), "0");

    raw("delete from outbox");
    events.publish(noted);
    sync_wait(session.commit());
    EXPECT_EQ(raw("select sequence from outbox"), "2");
}

TEST_F(SqliteSession, cancel_before_and_after_handover) {
    boost::asio::io_context io;
    sqlite::Session holder{*db}, session{*db};
    std::string result;
    const auto commit = [&]() -> awaitable<void> {
        co_await boost::asio::post(io, boost::asio::use_awaitable);
        co_await session.commit();
        result = "committed";
    };
    const auto spawn = [&](boost::asio::cancellation_signal& signal) {
        boost::asio::co_spawn(io, commit(),
                              boost::asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e) {
                                  if (e)
                                      result = message_of(e);
                              }));
    };
    const auto keep_waiting = [&] {
        io.restart();
        io.poll();
    };

    session.add("insert into account values ('a', 1)");
    boost::asio::cancellation_signal before;
    spawn(before);
    before.emit(boost::asio::cancellation_type::terminal);
    keep_waiting();
    EXPECT_EQ(count("account"), "0");
    EXPECT_NE(result.find("anceled"), std::string::npos) << result;

    session.rollback();
    sync_wait(holder.query("select 1"));
    session.add("insert into account values ('b', 1)");
    boost::asio::cancellation_signal after;
    spawn(after);
    keep_waiting();
    after.emit(boost::asio::cancellation_type::terminal);
    holder.rollback();
    io.restart();
    io.run();
    EXPECT_EQ(result, "committed");
    EXPECT_EQ(raw("select group_concat(id) from account"), "b");
}

TEST_F(SqliteSession, read_opens_nothing_and_query_sees_what_is_staged) {
    sqlite::Session session{*db};
    session.add("insert into account values (?, ?)", "a", 5);
    EXPECT_TRUE(sync_wait(session.read("select * from account")).empty());
    const auto rows = sync_wait(session.query("select id, credit from account where credit > ?", 1));
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(std::get<std::string>(rows[0][0]), "a");
    EXPECT_EQ(std::get<std::int64_t>(rows[0][1]), 5);
    EXPECT_EQ(session.staged(), Staged::writes);
    EXPECT_EQ(count("account"), "0");
    sync_wait(session.commit());
    EXPECT_EQ(count("account"), "1");
    thrown_by<Error>([&] { sync_wait(session.read("delete from account")); });
    EXPECT_EQ(count("account"), "1");
}

TEST_F(SqliteSession, concurrent_credit_reserve_no_lost_update) {
    raw("insert into account values ('a', 100)");
    const auto reserve = [&](int amount) {
        sqlite::Session session{*db};
        const auto rows = sync_wait(session.query("select credit from account where id = 'a'"));
        if (std::get<std::int64_t>(rows.at(0).at(0)) >= amount)
            session.add("update account set credit = credit - ? where id = 'a'", amount);
        sync_wait(session.commit());
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&] { reserve(30); });
    for (auto& thread : threads)
        thread.join();
    EXPECT_EQ(raw("select credit from account"), "10");
}

TEST_F(SqliteSession, interactive_hold_limit) {
    options.hold_limit = std::chrono::milliseconds(50);
    open();
    sqlite::Session slow{*db}, other{*db};
    sync_wait(slow.query("insert into account values ('slow', 1) returning id"));
    other.add("insert into account values ('other', 1)");
    sync_wait(other.commit());  // waits for the limit of the first
    const auto error = thrown_by<SessionTimeoutError>([&] { sync_wait(slow.commit()); });
    EXPECT_NE(std::string(error->what()).find("50 ms"), std::string::npos) << error->what();
    EXPECT_EQ(raw("select group_concat(id) from account"), "other");

    // Also a statement that runs for ever ends there.
    slow.rollback();
    const std::string endless =
        "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    thrown_by<SessionTimeoutError>([&] { sync_wait(slow.query(endless)); });
    other.add("insert into account values ('third', 1)");
    sync_wait(other.commit());
    EXPECT_EQ(count("account"), "2");
}

TEST_F(SqliteSession, statement_that_fails_in_a_query_undoes_itself_alone) {
    sqlite::Session session{*db};
    session.add("insert into account values ('a', 1)");
    sync_wait(session.query("select 1"));
    thrown_by<Error>([&] { sync_wait(session.query("insert into account values ('a', 2)")); });
    session.add("insert into account values ('b', 1)");
    sync_wait(session.commit());
    EXPECT_EQ(count("account"), "2");
}

TEST_F(SqliteSession, destroyed_uncommitted_is_gone_and_frees_the_writer) {
    {
        sqlite::Session forgotten{*db};
        sync_wait(forgotten.query("insert into account values ('a', 1)"));
        forgotten.add("insert into account values ('b', 1)");
    }
    sqlite::Session next{*db};
    next.add("insert into account values ('c', 1)");
    sync_wait(next.commit());
    EXPECT_EQ(raw("select group_concat(id) from account"), "c");
}

TEST_F(SqliteSession, expected_rows) {
    struct OptimisticLockError : std::runtime_error {
        using std::runtime_error::runtime_error;
    };
    sqlite::Session session{*db};
    session.add("insert into account values ('a', 1)");
    session.add(
        Statement{"update account set credit = 2 where id = 'b'"}.expect_rows(1, OptimisticLockError{"b changed"}));
    thrown_by<OptimisticLockError>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(count("account"), "0");
}

TEST_F(SqliteSession, sql_that_would_break_the_session_is_refused) {
    sqlite::Session session{*db};
    for (const char* sql : {"commit", "rollback", "savepoint a", "begin", "attach 'x' as x", "detach main",
                            "pragma synchronous = off", "insert into account values ('x', 1); commit", ""}) {
        session.add("insert into account values ('a', 1)");
        session.add(sql);
        EXPECT_EQ(thrown_by<Error>([&] { sync_wait(session.commit()); })->code(), Errc::statement_failed) << sql;
        EXPECT_EQ(count("account"), "0") << sql;
    }
    session.add("insert into account values (?, ?)", "a");
    EXPECT_NE(std::string(thrown_by<Error>([&] { sync_wait(session.commit()); })->what()).find("2 placeholders"),
              std::string::npos);
}

TEST_F(SqliteSession, repository_that_outlived_its_session) {
    auto session = std::make_unique<sqlite::Session>(*db);
    sqlite::OutboxRepository events{"outbox", *session, topics()};
    session.reset();
    EXPECT_THROW(events.publish(Noted{}), std::logic_error);
}

TEST_F(SqliteSession, message_outside_the_inbox_window_is_refused) {
    raw("insert into txm_meta values ('purged_to/inbox/shop', '2026-01-02T00:00:00.000001+00:00')");
    sqlite::Session session{*db};
    sqlite::InboxRepository inbox{"inbox", session, "shop"};
    const Timestamp edge = parse_iso8601("2026-01-02T00:00:00.000001Z");
    const auto save = [&](const Incoming& incoming) {
        session.rollback();
        session.add("insert or ignore into account values (?, 1)", incoming.message_id);
        inbox.save(incoming);
        sync_wait(session.commit());
    };
    const Incoming at_edge{new_uuid(), "", edge}, after{new_uuid(), "", edge + std::chrono::microseconds(1)},
        unknown{new_uuid()}, other_consumer{new_uuid(), "other", edge};
    EXPECT_EQ(thrown_by<OutsideInboxWindowError>([&] { save(at_edge); })->message_id(), at_edge.message_id);
    EXPECT_EQ(count("account"), "0");
    save(after);
    save(unknown);
    save(other_consumer);
    EXPECT_EQ(count("account"), "3");
    thrown_by<MessageAlreadyProcessedError>([&] { save(after); });
    Incoming replayed = at_edge;
    replayed.replay = true;
    thrown_by<OutsideInboxWindowError>([&] { save(replayed); });
    EXPECT_EQ(count("account"), "3");
}

TEST_F(SqliteSession, replay_turns_a_dead_letter_into_processed) {
    const Uuid id = new_uuid();
    raw("insert into inbox (consumer, message_id, state) values ('', '" + id.to_string() + "', 1)");
    sqlite::Session session{*db};
    sqlite::InboxRepository inbox{"inbox", session};
    inbox.save(id);
    thrown_by<MessageAlreadyProcessedError>([&] { sync_wait(session.commit()); });
    Incoming replayed{id};
    replayed.replay = true;
    inbox.save(replayed);
    sync_wait(session.commit());
    EXPECT_EQ(sync_wait(inbox.get(id))->state, InboxState::processed);
    inbox.save(replayed);
    thrown_by<MessageAlreadyProcessedError>([&] { sync_wait(session.commit()); });
}

}  // namespace
}  // namespace txm::test
