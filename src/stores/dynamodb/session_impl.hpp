#pragma once

#include "stores/dynamodb/commit.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/transaction.hpp"
#include "txm/session.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

namespace txm::dynamodb::detail {

/// What a session and its repositories share.
class SessionImpl {
public:
    enum class Condition {
        ready,
        failed,   ///< a commit failed, and nothing was staged since
        unknown,  ///< a commit whose outcome is not known
    };

    explicit SessionImpl(DatabaseImpl& db) noexcept : database(db) {}

    /// @throws std::logic_error while another operation of the session is under way; CommitOutcomeUnknown when only
    ///         resolve() and rollback() are allowed
    void check_usable() const;
    void stage(StagedWrite write);
    bool has_staged(const InboxRow& row) const noexcept;

    DatabaseImpl& database;
    std::vector<StagedWrite> writes;
    Condition condition = Condition::ready;
    std::shared_ptr<Commit> in_doubt;
    std::atomic<bool> is_busy{false};
    bool was_rolled_back = false;  ///< while an operation was under way
};

/// An operation of a session that is under way: what would come in between is refused, because one session is one
/// transaction, and two coroutines would commit each other's writes.
class Operation {
public:
    /// @throws std::logic_error when another one is under way
    explicit Operation(std::shared_ptr<SessionImpl> session);
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;
    ~Operation();

    /// @throws std::logic_error when the session was rolled back meanwhile
    void check_undisturbed() const;

    SessionImpl* operator->() const noexcept { return session_.get(); }
    SessionImpl& operator*() const noexcept { return *session_; }

private:
    std::shared_ptr<SessionImpl> session_;
};

/// @throws std::logic_error when the session is gone
std::shared_ptr<SessionImpl> alive(const std::weak_ptr<SessionImpl>& session);

}  // namespace txm::dynamodb::detail
