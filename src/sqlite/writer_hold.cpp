#include "sqlite/writer_impl.hpp"
#include "txm/error.hpp"

#include <sqlite3.h>

namespace txm::sqlite::detail {
namespace {

std::exception_ptr rolled_back() {
    return std::make_exception_ptr(Error(Errc::statement_failed, "the transaction is over: it was rolled back"));
}

}  // namespace

void Writer::Impl::serve_hold(Hold& hold) noexcept {
    Hold::Impl& commands = hold.impl();
    const auto changes = sqlite3_total_changes64(connection.handle());
    if (!hold.is_open())
        return commands.end(rolled_back());
    try {
        transaction.begin();
    } catch (...) {
        return commands.end(std::current_exception());
    }
    const auto deadline = std::chrono::steady_clock::now() + hold_limit;
    connection.set_deadline(deadline);
    std::exception_ptr why;
    for (bool is_open = true; is_open;) {
        auto command = commands.next(deadline);
        if (!command) {
            why = std::chrono::steady_clock::now() >= deadline ? timed_out() : rolled_back();
            is_open = false;
        } else {
            is_open = obey(*command, changes, deadline, commands, why);
        }
    }
    connection.set_deadline(std::nullopt);
    transaction.rollback();
    commands.end(why);
}

bool Writer::Impl::obey(Hold::Impl::Command& command, std::int64_t changes_before,
                        std::chrono::steady_clock::time_point deadline, Hold::Impl& commands,
                        std::exception_ptr& why) noexcept {
    Task task{std::move(command.job), nullptr};
    bool is_open = !command.commits;
    try {
        task.job->apply(connection);
        check_in_transaction();
    } catch (...) {
        task.error = std::current_exception();
        is_open = is_open && connection.in_transaction();
    }
    if (task.error && std::chrono::steady_clock::now() >= deadline) {
        task.error = timed_out();
        is_open = false;
    }
    if (!is_open) {
        connection.set_deadline(std::nullopt);
        why = rolled_back();
        if (!task.error) {
            const Commit commit = transaction.commit();
            settle(task, commit);
            if (!task.error)
                committed(changes_before, true);
        }
        transaction.rollback();
        commands.end(why);
    }
    task.job->finish(std::move(task.error));
    return is_open;
}

std::exception_ptr Writer::Impl::timed_out() const {
    return std::make_exception_ptr(SessionTimeoutError(
        "the session held SQLite's only writer for more than " + std::to_string(hold_limit.count()) +
        " ms and was rolled back: commit sooner, and do not wait for a second session (which waits for this one)"));
}

}  // namespace txm::sqlite::detail
