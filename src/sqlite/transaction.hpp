#pragma once

#include "sqlite/connection.hpp"

#include <exception>

namespace txm::sqlite::detail {

/// What COMMIT came to.
struct Commit {
    enum class Outcome { committed, rolled_back, constraint, unknown };
    Outcome outcome = Outcome::committed;
    std::exception_ptr error;   ///< why it is not `committed`
    bool was_in_doubt = false;  ///< a witness should be asked, though it was settled as `rolled_back`
};

/// Transactions of the one writing connection.
///
/// A COMMIT that fails on I/O is not over: its frames may be complete in the WAL and count after a crash. So nothing else
/// is written until a *barrier*, a small commit of our own that overwrites those frames, has succeeded: from then on what
/// is not visible will never be.
class Transaction {
public:
    explicit Transaction(Connection& connection) noexcept : connection_(connection) {}

    /// @throws Error(store_unavailable)
    void begin();
    /// Also when SQLite ended the transaction itself.
    void rollback() noexcept;
    Commit commit();

    void savepoint();
    void release();
    void rollback_to_savepoint() noexcept;

    /// True while an earlier commit is in doubt: begin() first tries the barrier.
    bool is_in_doubt() const noexcept { return in_doubt_; }
    /// @throws Error(store_unavailable) when it cannot be had now
    void clear_doubt();

private:
    void barrier();

    Connection& connection_;
    bool in_doubt_ = false;
};

}  // namespace txm::sqlite::detail
