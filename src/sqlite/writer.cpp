#include "sqlite/writer.hpp"

#include "sqlite/hold.hpp"
#include "sqlite/transaction.hpp"
#include "txm/error.hpp"

#include <sqlite3.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace txm::sqlite::detail {
namespace {

// Jobs that share a transaction. More would not make the flush cheaper per job, only others wait longer for the lock.
constexpr std::size_t max_group = 256;

struct Task {
    std::shared_ptr<WriteJob> job;
    std::exception_ptr error;
};

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

struct Writer::Impl {
    struct Entry {
        std::shared_ptr<WriteJob> job;
        std::shared_ptr<Hold> hold;
    };

    Impl(const std::string& path, const DatabaseOptions& options, std::function<void()> then)
        : connection(path, Connection::Mode::read_write, options),
          hold_limit(options.hold_limit),
          after_commit(std::move(then)),
          thread([this] { serve(); }) {}

    ~Impl() {
        {
            const std::scoped_lock lock(mutex);
            stopping = true;
            if (held)
                held->rollback();
            for (const auto& entry : queue)
                if (entry.hold)
                    entry.hold->rollback();
        }
        changed.notify_all();
        thread.join();
    }

    void push(Entry entry) {
        {
            const std::scoped_lock lock(mutex);
            queue.push_back(std::move(entry));
            if (is_busy)
                return;  // who is busy looks again
        }
        changed.notify_one();
    }

    void serve() {
        std::vector<Task> group;
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [&] { return !is_busy && (stopping || !queue.empty()); });
            if (queue.empty())
                return;
            is_busy = true;
            if (queue.front().hold) {
                held = std::move(queue.front().hold);
                queue.pop_front();
                lock.unlock();
                serve_hold(*held);
                lock.lock();
                held.reset();
            } else {
                while (!queue.empty() && queue.front().job && group.size() < max_group) {
                    group.push_back({std::move(queue.front().job), nullptr});
                    queue.pop_front();
                }
                lock.unlock();
                run(group);
                group.clear();
                lock.lock();
            }
            is_busy = false;
        }
    }

    bool run_here(const std::shared_ptr<WriteJob>& job) {
        {
            const std::scoped_lock lock(mutex);
            if (is_busy || !queue.empty() || stopping)
                return false;
            is_busy = true;
        }
        std::vector<Task> group{{job, nullptr}};
        run(group);
        bool is_awaited = false;
        {
            const std::scoped_lock lock(mutex);
            is_busy = false;
            is_awaited = !queue.empty() || stopping;
        }
        if (is_awaited)
            changed.notify_one();
        return true;
    }

    /// Runs jobs to their end and tells them.
    void run(std::vector<Task>& group) noexcept {
        if (group.size() == 1)
            run_alone(group.front());
        else
            run_together(group);
        for (auto& task : group)
            task.job->finish(std::move(task.error));
    }

    void run_alone(Task& task) noexcept {
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
    void run_together(std::vector<Task>& group) noexcept {
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

    /// Gives the task that ended the transaction, if one did.
    std::vector<Task*>::iterator apply_each(std::vector<Task*>& tasks) noexcept {
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

    void check_in_transaction() const {
        if (!connection.in_transaction())
            throw Error(Errc::statement_failed, "a statement rolled the transaction back; nothing of it was written");
    }

    /// What a task is told after COMMIT.
    void settle(Task& task, const Commit& commit) noexcept {
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

    bool is_there(const std::function<bool(Connection&)>& witness) noexcept {
        try {
            return witness && witness(connection);
        } catch (...) {
            return false;
        }
    }

    void committed(std::int64_t changes_before, bool wakes) noexcept {
        if (wakes && after_commit && sqlite3_total_changes64(connection.handle()) != changes_before)
            after_commit();
    }

    void serve_hold(Hold& hold) noexcept {
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

    /// False when the transaction is over.
    bool obey(Hold::Impl::Command& command, std::int64_t changes_before, std::chrono::steady_clock::time_point deadline,
              Hold::Impl& commands, std::exception_ptr& why) noexcept {
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

    std::exception_ptr timed_out() const {
        return std::make_exception_ptr(SessionTimeoutError(
            "the session held SQLite's only writer for more than " + std::to_string(hold_limit.count()) +
            " ms and was rolled back: commit sooner, and do not wait for a second session (which waits for this one)"));
    }

    static std::exception_ptr rolled_back() {
        return std::make_exception_ptr(Error(Errc::statement_failed, "the transaction is over: it was rolled back"));
    }

    Connection connection;
    Transaction transaction{connection};
    const std::chrono::milliseconds hold_limit;
    const std::function<void()> after_commit;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Entry> queue;
    std::shared_ptr<Hold> held;
    bool is_busy = false;  // somebody has the connection
    bool stopping = false;
    std::thread thread;
};

Writer::Writer(const std::string& path, const DatabaseOptions& options, std::function<void()> after_commit)
    : impl_(std::make_unique<Impl>(path, options, std::move(after_commit))) {}

Writer::~Writer() = default;

void Writer::submit(std::shared_ptr<WriteJob> job) {
    impl_->push({std::move(job), nullptr});
}

void Writer::submit(std::shared_ptr<Hold> hold) {
    impl_->push({nullptr, std::move(hold)});
}

bool Writer::run_here(const std::shared_ptr<WriteJob>& job) {
    return impl_->run_here(job);
}

boost::asio::awaitable<void> Writer::run(std::shared_ptr<AwaitedJob> job) {
    const bool is_done = txm::detail::BlockingScope::active() && run_here(job);
    if (!is_done) {
        job->suspended = true;
        const auto enqueue = [this, &job] { submit(job); };
        co_await txm::detail::suspend(job->suspension, enqueue);
    }
    if (job->error)
        std::rethrow_exception(job->error);
}

void Writer::run_blocking(std::shared_ptr<WriteJob> job, std::future<void> done) {
    const bool is_done = run_here(job);
    if (!is_done)
        submit(std::move(job));
    done.get();
}

boost::asio::awaitable<bool> Writer::resolve(std::function<bool(Connection&)> witness) {
    // To begin is to have the doubt cleared.
    const auto look = [&witness](Connection& connection) { return witness && witness(connection); };
    const bool is_there = co_await transact_quietly(look);
    co_return is_there;
}

}  // namespace txm::sqlite::detail
