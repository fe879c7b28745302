#include "sqlite/transaction.hpp"

#include "core/fault_point.hpp"
#include "txm/error.hpp"

#include <sqlite3.h>

#include <string>

namespace txm::sqlite::detail {

namespace {

// What is committed stays committed: this step cannot fail.
void passed_commit() noexcept {
    try {
        fault::point("sqlite_writer.after_commit");
    } catch (const Error&) {}
}

}  // namespace

void Transaction::begin() {
    clear_doubt();
    connection_.prepare("begin immediate").run();
    connection_.require_transaction(true);
}

void Transaction::rollback() noexcept {
    connection_.require_transaction(false);
    if (!connection_.in_transaction())
        return;
    try {
        connection_.prepare("rollback").run();
    } catch (...) {
        // SQLite has rolled back by itself, or the next BEGIN says what is wrong.
    }
}

Commit Transaction::commit() {
    Commit result;
    try {
        fault::point("sqlite_writer.before_commit");
        connection_.prepare("commit").run();
        connection_.require_transaction(false);
        passed_commit();
        return result;
    } catch (...) {
        result.error = std::current_exception();
    }
    const int code = sqlite3_errcode(connection_.handle()) & 0xff;
    const bool is_answer = connection_.in_transaction() && (code == SQLITE_CONSTRAINT || code == SQLITE_BUSY);
    rollback();
    if (is_answer) {
        result.outcome = code == SQLITE_CONSTRAINT ? Commit::Outcome::constraint : Commit::Outcome::rolled_back;
        return result;
    }
    in_doubt_ = true;
    result.was_in_doubt = true;
    try {
        clear_doubt();
        result.outcome = Commit::Outcome::rolled_back;
    } catch (...) {
        result.outcome = Commit::Outcome::unknown;
    }
    return result;
}

void Transaction::savepoint() {
    connection_.prepare("savepoint txm").run();
}

void Transaction::release() {
    connection_.prepare("release txm").run();
}

void Transaction::rollback_to_savepoint() noexcept {
    try {
        connection_.prepare("rollback to txm").run();
        connection_.prepare("release txm").run();
    } catch (...) {
        // Then the transaction is gone, which the caller looks at.
        rollback();
    }
}

void Transaction::clear_doubt() {
    if (!in_doubt_)
        return;
    barrier();
    in_doubt_ = false;
}

void Transaction::barrier() {
    try {
        connection_.prepare("begin immediate").run();
        std::string write = "pragma user_version = ";
        {
            auto version = connection_.prepare("pragma user_version");
            version.step();
            write += std::to_string(version.integer(0));
        }
        // Writes the first page, though the number stays.
        connection_.execute(write.c_str());
        fault::point("sqlite_writer.barrier");
        connection_.prepare("commit").run();
    } catch (...) {
        rollback();
        throw;
    }
}

}  // namespace txm::sqlite::detail
