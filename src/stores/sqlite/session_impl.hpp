#pragma once

#include "sqlite/database_impl.hpp"
#include "staged_write.hpp"
#include "txm/session.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace txm::sqlite::detail {

/// What a session and its repositories share.
struct SessionImpl {
    enum class Condition {
        ready,
        failed,   ///< a commit failed, and nothing was staged since
        unknown,  ///< a commit whose outcome is not known
    };

    explicit SessionImpl(DatabaseImpl& db) noexcept : database(db) {}

    /// @throws CommitOutcomeUnknown when only resolve() and rollback() are allowed
    void check_usable() const;
    void stage(StagedWrite write);
    bool has_staged(const InboxRow& row) const noexcept;
    /// Ends the open transaction, if there is one, and drops what is staged.
    void discard() noexcept;
    /// Opens the transaction of an interactive session, when it is not open yet.
    void hold();

    DatabaseImpl& database;
    std::vector<StagedWrite> writes;
    std::shared_ptr<Hold> held;         ///< the open transaction of an interactive session
    Staged executed = Staged::nothing;  ///< what was written in it
    Condition condition = Condition::ready;
    std::function<bool(Connection&)> witness;  ///< of the open transaction, or of the commit in doubt
};

/// @throws std::logic_error when the session is gone
std::shared_ptr<SessionImpl> alive(const std::weak_ptr<SessionImpl>& session);

}  // namespace txm::sqlite::detail
