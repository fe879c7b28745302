#pragma once

#include "txm/error.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>

namespace txm {

using boost::asio::awaitable;

/// What a session holds that is not committed.
enum class Staged {
    nothing,
    inbox_only,  ///< only the inbox row of the incoming message
    writes,
};

/// What became of a commit.
enum class CommitOutcome { committed, rolled_back, still_unknown };

/// A transaction in the making: inbox, outbox and the user's repositories stage into it, one commit() writes all of it
/// or nothing. Neither copied nor moved, because repositories hold on to it; constructing one does no I/O.
///
/// Destroyed uncommitted, it discards what it holds, without waiting and without throwing. After commit() or rollback()
/// it can be used again. A failed commit leaves nothing staged: commit() then throws until rollback() is called or
/// something new is staged, so that a forgotten failure cannot look like success. After CommitOutcomeUnknown only
/// resolve() and rollback() are allowed; `rolled_back` is a failed commit like any other.
///
/// *Thread safety*: one coroutine or thread at a time.
class Session {
public:
    Session() = default;
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    virtual ~Session() = default;

    /// Writes everything that is staged, or nothing. With nothing staged it is a no-op.
    /// *Cancellation*: before the work is handed to the store, operation_aborted and nothing is written; after, ignored.
    /// @throws MessageAlreadyProcessedError, MessageAlreadyPublishedError, OutsideInboxWindowError, the error of a
    ///         Statement::expect_rows, Error(statement_failed), CommitOutcomeUnknown
    virtual awaitable<void> commit() = 0;

    /// Drops what is staged; an open transaction is rolled back behind the scenes.
    virtual void rollback() noexcept = 0;

    /// Finds out what became of a commit that ended in CommitOutcomeUnknown.
    virtual awaitable<CommitOutcome> resolve() = 0;

    virtual Staged staged() const noexcept = 0;

protected:
    /// Called by a session at the start of commit(), before it looks at what is staged: lets a unit of work add its
    /// inbox row to every transaction, and refuse a second commit. Not called where commit() throws because the one before
    /// failed and nothing was staged since: the inbox row alone would say that the message took effect.
    void before_commit() {
        if (before_commit_)
            before_commit_();
    }
    /// Called by a session when a commit succeeded that wrote something.
    void committed() noexcept {
        if (committed_)
            committed_();
    }

private:
    friend class UnitOfWork;
    std::function<void()> before_commit_;
    std::function<void()> committed_;
};

}  // namespace txm
