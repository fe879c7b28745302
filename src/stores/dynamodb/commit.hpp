#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/transaction.hpp"
#include "txm/session.hpp"

#include <chrono>
#include <string>

namespace txm::dynamodb::detail {

/// A transaction on its way to DynamoDB. It owns what is sent: the session may be gone meanwhile.
/// *Thread safety*: one coroutine at a time.
class Commit {
public:
    Commit(DatabaseImpl& db, Transaction&& transaction) : db_(db), transaction_(std::move(transaction)) {}

    /// Checks what can be checked before anything is sent. @throws Error
    awaitable<void> check();

    /// Sends it until it is committed or refused for good, within the database's commit_timeout.
    /// @throws what it was refused with, CommitOutcomeUnknown
    awaitable<void> run();

    /// After CommitOutcomeUnknown.
    awaitable<CommitOutcome> resolve();

private:
    using Clock = std::chrono::steady_clock;

    enum class Answer {
        committed,
        refused,    ///< for good; error_ says why
        lost_race,  ///< nothing was written: to be numbered again
        busy,       ///< it was cancelled, but the same may succeed later
        throttled,  ///< it was not even looked at
        none,       ///< it was not sent, or may have been carried out, see may_be_committed_
    };

    /// One attempt with the bytes as they are.
    awaitable<Answer> send(std::chrono::milliseconds timeout);
    Answer judge_refusal(const aws::ServiceError& refusal);
    awaitable<void> name_missing_table();
    awaitable<CommitOutcome> look_for_witness();
    awaitable<CommitOutcome> look_at_counter();
    /// Whether the token still makes a repetition harmless.
    bool is_token_good() const;
    [[noreturn]] void give_up();
    void renew();

    DatabaseImpl& db_;
    Transaction transaction_;
    std::exception_ptr error_;
    std::string trouble_;  // why there was no answer
    bool may_be_committed_ = false;
    std::chrono::nanoseconds first_sent_{},
        last_sent_{};  // of these bytes, on the clock that runs while the machine sleeps
};

}  // namespace txm::dynamodb::detail
