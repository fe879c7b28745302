#include "sqlite/writer_impl.hpp"
#include "txm/error.hpp"

#include <sqlite3.h>

namespace txm::sqlite::detail {
namespace {

std::exception_ptr unknown_outcome(const std::exception_ptr& cause) {
    std::string what = "it is not known whether the transaction was committed: resolve() the session";
    std::string native;
    try {
        std::rethrow_exception(cause);
    } catch (const Error& e) {
        what += std::string("; ") + e.what();
        native = e.native_code();
    } catch (const std::exception& e) {
        what += std::string("; ") + e.what();
    }
    return std::make_exception_ptr(CommitOutcomeUnknown(what, native));
}

}  // namespace

void Writer::Impl::run(std::vector<Task>& group) noexcept {
    if (group.size() == 1)
        run_alone(group.front());
    else
        run_together(group);
    for (auto& task : group)
        task.job->finish(std::move(task.error));
}

void Writer::Impl::run_alone(Task& task) noexcept {
    task.error = nullptr;
    const auto changes = sqlite3_total_changes64(connection.handle());
    try {
        transaction.begin();
        task.job->apply(connection);
        check_in_transaction();
    } catch (...) {
        task.error = std::current_exception();
        transaction.rollback();
        return;
    }
    const Commit commit = transaction.commit();
    settle(task, commit);
    if (!task.error)
        committed(changes, task.job->wakes);
}

/// Each in a savepoint. Nobody is told anything before the COMMIT: also an error, such as "published already", may
/// be due to a neighbour that is not committed in the end.
void Writer::Impl::run_together(std::vector<Task>& group) noexcept {
    std::vector<Task*> tasks;
    tasks.reserve(group.size());
    for (auto& task : group)
        tasks.push_back(&task);
    while (!tasks.empty()) {
        const auto changes = sqlite3_total_changes64(connection.handle());
        try {
            transaction.begin();
        } catch (...) {
            for (Task* task : tasks)
                task->error = std::current_exception();
            return;
        }
        const auto culprit = apply_each(tasks);
        if (culprit != tasks.end()) {
            // It took the whole transaction with it; the others start again without it.
            transaction.rollback();
            tasks.erase(culprit);
            continue;
        }
        const Commit commit = transaction.commit();
        if (commit.outcome == Commit::Outcome::constraint) {
            for (Task* task : tasks)
                run_alone(*task);
            return;
        }
        bool wakes = false;
        for (Task* task : tasks) {
            settle(*task, commit);
            wakes = wakes || (!task->error && task->job->wakes);
        }
        if (commit.outcome == Commit::Outcome::committed)
            committed(changes, wakes);
        return;
    }
}

std::vector<Writer::Impl::Task*>::iterator Writer::Impl::apply_each(std::vector<Task*>& tasks) noexcept {
    for (auto i = tasks.begin(); i != tasks.end(); ++i) {
        Task& task = **i;
        task.error = nullptr;
        try {
            transaction.savepoint();
            task.job->apply(connection);
            check_in_transaction();
            if (connection.has_pending_deferred_constraints())
                throw Error(Errc::statement_failed, "a deferred foreign key has no match; nothing was written", {},
                            code_name(SQLITE_CONSTRAINT_FOREIGNKEY));
            transaction.release();
        } catch (...) {
            task.error = std::current_exception();
            if (connection.in_transaction())
                transaction.rollback_to_savepoint();
        }
        if (!connection.in_transaction())
            return i;
    }
    return tasks.end();
}

void Writer::Impl::check_in_transaction() const {
    if (!connection.in_transaction())
        throw Error(Errc::statement_failed, "a statement rolled the transaction back; nothing of it was written");
}

void Writer::Impl::settle(Task& task, const Commit& commit) noexcept {
    if (commit.outcome == Commit::Outcome::committed)
        return;
    // One that had failed before was not in the transaction, and its own error may be due to one that was.
    const bool was_applied = !task.error;
    task.error = commit.error;
    if (was_applied && commit.outcome == Commit::Outcome::unknown)
        task.error = unknown_outcome(commit.error);
    else if (was_applied && commit.was_in_doubt && is_there(task.job->witness))
        task.error = nullptr;
}

bool Writer::Impl::is_there(const std::function<bool(Connection&)>& witness) noexcept {
    try {
        return witness && witness(connection);
    } catch (...) {
        return false;
    }
}

void Writer::Impl::committed(std::int64_t changes_before, bool wakes) noexcept {
    if (wakes && after_commit && sqlite3_total_changes64(connection.handle()) != changes_before)
        after_commit();
}

}  // namespace txm::sqlite::detail
