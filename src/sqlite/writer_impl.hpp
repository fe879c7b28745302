#pragma once

#include "sqlite/hold.hpp"
#include "sqlite/transaction.hpp"
#include "sqlite/writer.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace txm::sqlite::detail {

struct Writer::Impl {
    struct Entry {
        std::shared_ptr<WriteJob> job;
        std::shared_ptr<Hold> hold;
    };

    struct Task {
        std::shared_ptr<WriteJob> job;
        std::exception_ptr error;
    };

    Impl(const std::string& path, const DatabaseOptions& options, std::function<void()> then);
    ~Impl();

    // The queue (writer.cpp).
    /// Starts the thread, which a program that only blocks never needs. @throws std::system_error
    void start();
    /// After start().
    void push(Entry entry);
    void serve();
    bool run_here(const std::shared_ptr<WriteJob>& job);

    // Jobs that share a transaction (writer_group.cpp).
    /// Runs jobs to their end and tells them.
    void run(std::vector<Task>& group) noexcept;
    void run_alone(Task& task) noexcept;
    void run_together(std::vector<Task>& group) noexcept;
    /// Gives the task that ended the transaction, if one did.
    std::vector<Task*>::iterator apply_each(std::vector<Task*>& tasks) noexcept;
    void check_in_transaction() const;
    /// What a task is told after COMMIT.
    void settle(Task& task, const Commit& commit) noexcept;
    bool is_there(const std::function<bool(Connection&)>& witness) noexcept;
    void committed(std::int64_t changes_before, bool wakes) noexcept;

    // A transaction that stays open (writer_hold.cpp).
    void serve_hold(Hold& hold) noexcept;
    /// False when the transaction is over.
    bool obey(Hold::Impl::Command& command, std::int64_t changes_before, std::chrono::steady_clock::time_point deadline,
              Hold::Impl& commands, std::exception_ptr& why) noexcept;
    std::exception_ptr timed_out() const;

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

}  // namespace txm::sqlite::detail
