#pragma once

#include "txm/uuid.hpp"

#include <string>
#include <system_error>

namespace txm {

/// What went wrong, as an error code of txm_category(). Backends put their own code beside it (Error::native_code).
enum class Errc {
    message_already_processed = 1,
    message_already_published,
    message_not_found,
    unknown_topic,
    uncommitted_session,
    already_committed,
    commit_failed_before,    ///< commit() again after a failed one, with nothing new staged
    commit_outcome_unknown,  ///< resolve() or rollback() the session
    session_timeout,
    outside_inbox_window,
    rejected,
    invalid_message,     ///< payload too large, not UTF-8, nil id …
    unexpected_rows,     ///< a statement changed another number of rows than it expected
    not_in_transaction,  ///< a borrowed connection that is not inside a transaction
    statement_failed,    ///< the user's own SQL failed (constraint, syntax …)
    schema_missing,      ///< run `txm migrate`
    schema_too_new,      ///< the store was migrated by a newer txm
    store_unavailable,   ///< locked, full, unreachable, damaged
    broker_unavailable,
    fence_lost,  ///< another owner took the lease
    not_supported,
    invalid_configuration,
};

const std::error_category& txm_category() noexcept;
std::error_code make_error_code(Errc code) noexcept;

/// The base of everything that txm throws (besides std::invalid_argument and std::logic_error for misuse).
/// what() is one sentence that says what happened and what to do.
class Error : public std::system_error {
public:
    Error(std::error_code code, std::string what, const Uuid& message_id = {}, std::string native_code = {});
    Error(Errc code, std::string what, const Uuid& message_id = {}, std::string native_code = {});

    const char* what() const noexcept override;

    /// The message it is about; nil when it is about none.
    const Uuid& message_id() const noexcept { return message_id_; }

    /// The backend's own code, such as `SQLITE_BUSY` or an SQLSTATE; empty when there is none.
    const std::string& native_code() const noexcept { return native_code_; }

    /// True when the same work may succeed later without a change: a busy or unreachable store, a lost race.
    bool retryable() const noexcept;

private:
    std::string what_;
    Uuid message_id_;
    std::string native_code_;
};

/// The inbox has this message already: it took effect (or was decided otherwise) before. Treat it as done.
class MessageAlreadyProcessedError : public Error {
public:
    explicit MessageAlreadyProcessedError(const Uuid& message_id);
    MessageAlreadyProcessedError(const Uuid& message_id, bool content_differs)
        : MessageAlreadyProcessedError(message_id) {
        content_differs_ = content_differs;
    }

    /// True when the inbox remembers another payload under this id: two messages share it, and one had no effect.
    bool content_differs() const noexcept { return content_differs_; }

private:
    bool content_differs_ = false;
};

/// The outbox has a message of this id. Nothing of the transaction was written.
class MessageAlreadyPublishedError : public Error {
public:
    explicit MessageAlreadyPublishedError(const Uuid& message_id);
};

class MessageNotFoundError : public Error {
public:
    explicit MessageNotFoundError(const Uuid& message_id);
};

/// The TopicMap does not know the type. Nothing was staged.
class UnknownTopicError : public Error {
public:
    explicit UnknownTopicError(const std::string& type_name);
};

/// The body of within() returned normally with staged writes that it neither committed nor rolled back.
class UncommittedSessionError : public Error {
public:
    explicit UncommittedSessionError(const Uuid& message_id = {});
};

/// A second commit, with something staged, in the unit of work of one incoming message.
class AlreadyCommittedError : public Error {
public:
    explicit AlreadyCommittedError(const Uuid& message_id = {});
};

/// The store did not say whether the transaction was committed. Only Session::resolve() and rollback() are allowed now.
class CommitOutcomeUnknown : public Error {
public:
    explicit CommitOutcomeUnknown(std::string what, std::string native_code = {});
};

/// An interactive session held the store longer than it may. It was rolled back.
class SessionTimeoutError : public Error {
public:
    explicit SessionTimeoutError(std::string what);
};

/// The delivery is older than what the inbox remembers, so that it may be a forgotten duplicate: it is not applied.
class OutsideInboxWindowError : public Error {
public:
    explicit OutsideInboxWindowError(const Uuid& message_id);
};

/// Another owner took the lease: what was to be written under its fence was not written.
class FenceLostError : public Error {
public:
    explicit FenceLostError(std::string what);
};

/// Thrown by a handler: this message must not be tried again; it becomes a dead letter at once.
class Rejected : public Error {
public:
    explicit Rejected(std::string why);
};

}  // namespace txm

template <>
struct std::is_error_code_enum<txm::Errc> : std::true_type {};
