#include "txm/unit_of_work.hpp"
#include "txm/error.hpp"
#include "txm/sync_wait.hpp"
#include "txm/testing.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>

namespace {

using txm::awaitable;
using txm::CommitOutcome;
using txm::Incoming;
using txm::Staged;
using txm::sync_wait;

struct Work final : txm::UnitOfWork {
    using UnitOfWork::UnitOfWork;
    txm::InboxRepository& inbox() override { return rows; }
    txm::Session& session() override { return transaction; }

    void write() {
        transaction.add([this] { ++effects; });
    }

    txm::testing::FakeSession transaction;
    txm::testing::FakeInboxRepository rows{transaction};
    int effects = 0;
};

class UnitOfWorkTest : public testing::Test {
protected:
    void within(Work& work, const std::function<void()>& body) { sync_wait(txm::within(work, run(body))); }

    static awaitable<void> run(std::function<void()> body) {
        body();
        co_return;
    }

    const Incoming incoming{txm::new_uuid()};
};

TEST_F(UnitOfWorkTest, CommitsInboxRowAndEffectTogetherOnce) {
    Work work{incoming};
    const auto apply = [&] {
        work.write();
        sync_wait(work.commit());
    };
    within(work, apply);
    EXPECT_EQ(work.effects, 1);
    EXPECT_EQ(work.rows.size(), 1u);
    EXPECT_TRUE(work.is_committed());
    EXPECT_THROW(within(work, apply), txm::MessageAlreadyProcessedError);
    EXPECT_EQ(work.effects, 1);
}

TEST_F(UnitOfWorkTest, HandlerForgetsCommit) {
    Work work{incoming};
    EXPECT_THROW(within(work, [&] { work.write(); }), txm::UncommittedSessionError);
    EXPECT_EQ(work.effects, 0);
    EXPECT_EQ(work.transaction.staged(), Staged::nothing);
}

TEST_F(UnitOfWorkTest, AnEarlyReturnWithTheInboxRowAloneStaysRetryable) {
    Work work{incoming};
    within(work, [&] { EXPECT_EQ(work.transaction.staged(), Staged::inbox_only); });
    EXPECT_EQ(work.rows.size(), 0u);
    within(work, [&] {
        work.write();
        work.rollback();
    });
    EXPECT_EQ(work.rows.size(), 0u);
}

TEST_F(UnitOfWorkTest, AnExceptionRollsBack) {
    Work work{incoming};
    EXPECT_THROW(within(work,
                        [&] {
                            work.write();
                            throw std::runtime_error("no");
                        }),
                 std::runtime_error);
    EXPECT_EQ(work.transaction.staged(), Staged::nothing);
    EXPECT_EQ(work.effects, 0);
}

TEST_F(UnitOfWorkTest, RollbackThenRetryKeepsInboxRow) {
    Work work{incoming};
    within(work, [&] {
        work.write();
        work.transaction.rollback();  // the user's own, past the unit of work
        work.write();
        sync_wait(work.transaction.commit());
    });
    EXPECT_EQ(work.effects, 1);
    EXPECT_EQ(work.rows.size(), 1u);
}

TEST_F(UnitOfWorkTest, ACommitThatFailedIsTriedAgainWithItsInboxRow) {
    Work work{incoming};
    work.transaction.fail_next_commit(std::runtime_error("conflict"));
    within(work, [&] {
        work.write();
        EXPECT_THROW(sync_wait(work.commit()), std::runtime_error);
        EXPECT_EQ(work.rows.size(), 0u);
        work.write();
        sync_wait(work.commit());
    });
    EXPECT_EQ(work.effects, 1);
    EXPECT_EQ(work.rows.size(), 1u);
}

TEST_F(UnitOfWorkTest, AFailedCommitThatIsForgottenDoesNotCommitTheInboxRowAlone) {
    Work work{incoming};
    work.transaction.fail_next_commit(std::runtime_error("conflict"));
    within(work, [&] {
        work.write();
        EXPECT_THROW(sync_wait(work.commit()), std::runtime_error);
        EXPECT_THROW(sync_wait(work.commit()), txm::Error);  // as txm does after a handler that swallowed it
    });
    EXPECT_EQ(work.rows.size(), 0u);
}

TEST_F(UnitOfWorkTest, SecondCommitThrows) {
    Work work{incoming};
    EXPECT_THROW(within(work,
                        [&] {
                            work.write();
                            sync_wait(work.commit());
                            sync_wait(work.commit());  // with nothing staged: nothing happens
                            work.write();
                            sync_wait(work.commit());
                        }),
                 txm::AlreadyCommittedError);
    EXPECT_EQ(work.effects, 1);
}

TEST_F(UnitOfWorkTest, WithoutAMessageItMayCommitAgainAndAgain) {
    Work work;
    within(work, [&] {
        work.write();
        sync_wait(work.commit());
        work.write();
        sync_wait(work.commit());
    });
    EXPECT_EQ(work.effects, 2);
    EXPECT_EQ(work.rows.size(), 0u);
}

TEST_F(UnitOfWorkTest, ACommitOfTheInboxRowAloneIsACommit) {
    Work work{incoming};
    within(work, [&] { sync_wait(work.commit()); });
    EXPECT_EQ(work.rows.size(), 1u);
    EXPECT_TRUE(work.is_committed());
}

TEST_F(UnitOfWorkTest, AnUnknownOutcomeIsResolved) {
    for (const auto truth : {CommitOutcome::committed, CommitOutcome::rolled_back}) {
        Work work{incoming};
        work.transaction.lose_next_commit(truth);
        within(work, [&] {
            work.write();
            EXPECT_THROW(sync_wait(work.commit()), txm::CommitOutcomeUnknown);
            EXPECT_THROW(work.write(), txm::CommitOutcomeUnknown);
            EXPECT_THROW(sync_wait(work.commit()), txm::CommitOutcomeUnknown);
            EXPECT_EQ(sync_wait(work.transaction.resolve()), truth);
        });
        const bool was_committed = truth == CommitOutcome::committed;
        EXPECT_EQ(work.effects, was_committed ? 1 : 0);
        EXPECT_EQ(work.rows.size(), was_committed ? 1u : 0u);
        EXPECT_EQ(work.is_committed(), was_committed);
    }
}

TEST_F(UnitOfWorkTest, AnOutcomeFoundToBeRolledBackIsAFailureUntilSomethingIsStaged) {
    Work work{incoming};
    work.transaction.lose_next_commit(CommitOutcome::rolled_back);
    within(work, [&] {
        work.write();
        EXPECT_THROW(sync_wait(work.commit()), txm::CommitOutcomeUnknown);
        EXPECT_EQ(sync_wait(work.transaction.resolve()), CommitOutcome::rolled_back);
        EXPECT_THROW(sync_wait(work.commit()), txm::Error);  // as txm does after a handler that forgot about it
        EXPECT_EQ(work.rows.size(), 0u);
        work.write();
        sync_wait(work.commit());
    });
    EXPECT_EQ(work.effects, 1);
    EXPECT_EQ(work.rows.size(), 1u);
}

TEST_F(UnitOfWorkTest, RollbackAfterAFailedCommitDecidesForNoEffect) {
    Work work{incoming};
    work.transaction.fail_next_commit(std::runtime_error("conflict"));
    within(work, [&] {
        work.write();
        EXPECT_THROW(sync_wait(work.commit()), std::runtime_error);
        work.transaction.rollback();
        sync_wait(work.commit());
    });
    EXPECT_EQ(work.effects, 0);
    EXPECT_EQ(work.rows.size(), 1u);  // or the message would be acknowledged with nothing decided
}

TEST_F(UnitOfWorkTest, GivesTheBodysValue) {
    Work work;
    const auto body = []() -> awaitable<std::string> { co_return "done"; };
    EXPECT_EQ(sync_wait(txm::within(work, body())), "done");
}

TEST_F(UnitOfWorkTest, TheReplayOfADeadLetterHasItsEffect) {
    Work work{Incoming{incoming.message_id, {}, {}, {}, true}};
    work.rows.put(incoming, txm::InboxState::dead);
    within(work, [&] {
        work.write();
        sync_wait(work.commit());
    });
    EXPECT_EQ(work.effects, 1);
    EXPECT_EQ(sync_wait(work.rows.get(incoming))->state, txm::InboxState::processed);

    Work late{incoming};
    late.rows.put(incoming, txm::InboxState::dead);
    EXPECT_THROW(within(late, [] {}), txm::MessageAlreadyProcessedError);
}

TEST_F(UnitOfWorkTest, EnsureIdempotenceWithinIsStillOneInboxRow) {
    Work work{incoming};
    within(work, [&] {
        sync_wait(txm::ensure_idempotence(incoming, work.rows));
        work.write();
        sync_wait(work.commit());
    });
    EXPECT_EQ(work.effects, 1);
}

}  // namespace
