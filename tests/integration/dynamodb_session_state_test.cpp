#include "dynamodb_session_fixture.hpp"
#include "support/fake_http.hpp"

#include <gmock/gmock.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <stdexcept>
#include <string>

// What a session says to those who use it at the wrong time, and after something went wrong.

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using dynamodb::Write;

/// A session against a server that answers when the test says so.
class DynamoDbSessionState : public testing::Test {
protected:
    DynamoDbSessionState()
        : server([this](const HttpRequest&) {
              HttpAnswer answer;
              answer.delay = delay;
              return answer;
          }),
          db(options_for(server.endpoint())) {}

    /// Runs one step of the operation, so that it has handed its request over.
    void start(awaitable<void> operation) {
        boost::asio::co_spawn(context, std::move(operation),
                              boost::asio::bind_cancellation_slot(cancel.slot(), [this](std::exception_ptr error) {
                                  failure = error;
                                  is_over = true;
                              }));
        context.poll();
    }

    void finish() {
        context.restart();
        context.run();
        EXPECT_TRUE(is_over);
    }

    std::chrono::milliseconds delay{200};
    FakeHttp server;
    dynamodb::Database db;
    boost::asio::io_context context;
    boost::asio::cancellation_signal cancel;
    std::exception_ptr failure;
    bool is_over = false;
};

TEST_F(DynamoDbSessionState, what_is_added_while_a_commit_is_under_way_is_refused_and_not_dropped) {
    dynamodb::Session session{db};
    dynamodb::OutboxRepository events{"outbox", session, topics()};
    dynamodb::InboxRepository received{"inbox", session};
    events.publish(Noted{});
    start(session.commit());
    thrown_by<std::logic_error>([&] { session.put("accounts", {{"PK", "a"}}); });
    thrown_by<std::logic_error>([&] { events.publish(Noted{}); });
    thrown_by<std::logic_error>([&] { received.save(new_uuid()); });
    thrown_by<std::logic_error>([&] { sync_wait(session.commit()); });
    thrown_by<std::logic_error>([&] { sync_wait(session.get("accounts", {{"PK", "a"}})); });
    finish();
    EXPECT_FALSE(failure);
    session.put("accounts", {{"PK", "a"}});
    sync_wait(session.commit());
    EXPECT_EQ(server.count(), 2u);
}

TEST_F(DynamoDbSessionState, rollback_of_another_coroutine_is_told_to_the_one_it_disturbs) {
    dynamodb::Session session{db};
    const auto mine = [](dynamodb::Session& shared) -> awaitable<void> {
        shared.put("accounts", {{"PK", "mine"}});
        co_await shared.get("accounts", dynamodb::key("PK", "other"));
        co_await shared.commit();
    };
    start(mine(session));
    session.rollback();  // what another task does
    finish();
    EXPECT_THROW(std::rethrow_exception(failure), std::logic_error);
    EXPECT_EQ(server.count(), 1u) << "nothing was committed";
}

TEST_F(DynamoDbSessionState, a_session_shared_by_tasks_is_refused) {
    dynamodb::Session session{db};
    const auto first = [](dynamodb::Session& shared) -> awaitable<void> {
        co_await shared.get("accounts", dynamodb::key("PK", "a"));
    };
    start(first(session));
    thrown_by<std::logic_error>([&] { session.put("accounts", {{"PK", "of another task"}}); });
    finish();
    EXPECT_FALSE(failure);
}

TEST_F(DynamoDbSessionState, cancelled_after_hand_over_a_commit_gives_its_real_result) {
    dynamodb::Session session{db};
    session.put("accounts", {{"PK", "a"}});
    start(session.commit());
    EXPECT_TRUE(server.wait_for(1));
    cancel.emit(boost::asio::cancellation_type::terminal);
    finish();
    EXPECT_FALSE(failure);
    EXPECT_EQ(session.staged(), Staged::nothing);
}

TEST_F(DynamoDbSessionState, cancelled_while_it_waits_to_try_again_a_commit_goes_on) {
    std::atomic<int> requests{0};
    FakeHttp busy{[&](const HttpRequest&) {
        return ++requests < 3 ? HttpAnswer{400, R"({"__type":"x#TransactionCanceledException",)"
                                                R"("CancellationReasons":[{"Code":"TransactionConflict"}]})"}
                              : HttpAnswer{};
    }};
    dynamodb::Database database{options_for(busy.endpoint())};
    dynamodb::Session session{database};
    session.put("accounts", {{"PK", "a"}});
    start(session.commit());
    EXPECT_TRUE(busy.wait_for(1));
    cancel.emit(boost::asio::cancellation_type::terminal);
    finish();
    EXPECT_FALSE(failure);
    EXPECT_EQ(requests, 3);
}

TEST_F(DynamoDbSessionState, cancelled_before_hand_over_nothing_is_sent) {
    dynamodb::Session session{db};
    session.put("accounts", {{"PK", "a"}});
    const auto commit_later = [](dynamodb::Session& s) -> awaitable<void> {
        co_await s.get("accounts", dynamodb::key("PK", "a"));
        co_await s.commit();
    };
    start(commit_later(session));
    cancel.emit(boost::asio::cancellation_type::terminal);
    finish();
    EXPECT_THROW(std::rethrow_exception(failure), boost::system::system_error);
    EXPECT_EQ(server.count(), 1u);
    EXPECT_EQ(session.staged(), Staged::writes);
}

TEST_F(DynamoDbSessionState, repositories_outlive_their_session_without_harm) {
    auto session = std::make_unique<dynamodb::Session>(db);
    dynamodb::OutboxRepository events{"outbox", *session, topics()};
    dynamodb::InboxRepository received{"inbox", *session};
    session.reset();
    thrown_by<std::logic_error>([&] { events.publish(Noted{}); });
    thrown_by<std::logic_error>([&] { received.save(new_uuid()); });
}

class DynamoDbUnitOfWork : public DynamoDbSession {
protected:
    template <class F>
    void handle(const Incoming& incoming, F handler) {
        Work work{*db, incoming, inbox, outbox};
        const auto body = [](Work& w, F& run) -> awaitable<void> { co_await run(w); };
        sync_wait(within(work, body(work, handler)));
    }
};

TEST_F(DynamoDbUnitOfWork, handler_forgets_commit) {
    thrown_by<UncommittedSessionError>([&] {
        handle(new_uuid(), [](Work& work) -> awaitable<void> {
            work.events.publish(Noted{});
            co_return;
        });
    });
    EXPECT_EQ(count(outbox), 0u);
}

TEST_F(DynamoDbUnitOfWork, rollback_then_retry_keeps_inbox_row) {
    const Uuid id = new_uuid();
    set_credit("a", 1);
    handle(id, [&](Work& work) -> awaitable<void> {
        work.session().add(
            Write::update(accounts, {{"PK", "a"}}, "set credit = :z").values({{":z", 0}}).when("credit = :z"));
        std::exception_ptr failure;
        try {
            co_await work.commit();
        } catch (const Error&) {
            failure = std::current_exception();
        }
        EXPECT_TRUE(failure);
        work.events.publish(Noted{});
        co_await work.commit();
    });
    EXPECT_EQ(count(inbox), 1u);
    EXPECT_EQ(count(outbox), 1u);
    thrown_by<MessageAlreadyProcessedError>([&] { handle(id, [](Work&) -> awaitable<void> { co_return; }); });
}

TEST_F(DynamoDbUnitOfWork, swallowed_failure_is_no_success) {
    EXPECT_EQ(thrown_by<Error>([&] {
                  handle(new_uuid(), [&](Work& work) -> awaitable<void> {
                      work.session().add(Write::check(accounts, {{"PK", "nobody"}}).when("attribute_exists(PK)"));
                      try {
                          co_await work.commit();
                      } catch (const Error&) {}
                      co_await work.commit();
                  });
              })->code(),
              Errc::commit_failed_before);
    EXPECT_EQ(count(inbox), 0u);
}

TEST_F(DynamoDbUnitOfWork, second_commit_throws) {
    thrown_by<AlreadyCommittedError>([&] {
        handle(new_uuid(), [](Work& work) -> awaitable<void> {
            work.events.publish(Noted{});
            co_await work.commit();
            co_await work.commit();  // nothing to do
            work.events.publish(Noted{});
            co_await work.commit();
        });
    });
    EXPECT_EQ(count(outbox), 1u);
}

TEST_F(DynamoDbUnitOfWork, publish_that_fails_half_way_stages_nothing) {
    dynamodb::Session session{*db};
    dynamodb::OutboxRepository events{outbox, session, topics()};
    Noted binary;
    binary.text = "\xff";
    thrown_by<Error>([&] { events.publish(Noted{}, binary); });
    EXPECT_EQ(session.staged(), Staged::nothing);
}

}  // namespace
}  // namespace txm::test
