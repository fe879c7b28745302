#pragma once

#include "asio/suspension.hpp"
#include "sqlite/connection.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace txm::sqlite::detail {

/// A unit of work for the writer thread, in its own savepoint of a group commit.
/// `apply` may run more than once (when another job of the group ended the transaction), so it must not consume what it
/// uses; it must not begin or end transactions.
struct WriteJob {
    virtual ~WriteJob() = default;
    virtual void apply(Connection& connection) = 0;
    /// Called once the job's fate is known: null, or why nothing of it was written. On the writer thread (or on the
    /// caller's, when it runs there): hands over to whoever waits, does no work itself.
    virtual void finish(std::exception_ptr error) noexcept = 0;
    /// A row whose presence tells that the job was committed, for a COMMIT whose answer is not clear; empty: none.
    std::function<bool(Connection&)> witness;
    /// Whether those who wait for changes of the file are woken: not by a relay's own marks.
    bool wakes = true;
};

/// A job that a coroutine waits for.
struct AwaitedJob : WriteJob {
    void finish(std::exception_ptr why) noexcept override {
        error = std::move(why);
        if (suspended)
            suspension.resume();
    }

    std::exception_ptr error;
    bool suspended = false;
    txm::detail::Suspension suspension;
};

/// A transaction that stays open between the calls of its owner, and with it SQLite's only writer, which nobody else gets
/// meanwhile: at most DatabaseOptions::hold_limit, then it is rolled back.
/// *Thread safety*: any thread. Given up by rollback() or by letting it go after it.
class Hold {
public:
    Hold();
    ~Hold();

    /// Runs a job in the transaction. What it throws leaves the transaction open, unless SQLite ended it.
    boost::asio::awaitable<void> run(std::shared_ptr<AwaitedJob> job);
    /// Runs a job and then commits. What it throws rolls back.
    boost::asio::awaitable<void> commit(std::shared_ptr<AwaitedJob> job);
    /// Without waiting.
    void rollback() noexcept;
    /// False once it is committed or rolled back, by whomever.
    bool is_open() const noexcept;

    struct Impl;
    Impl& impl() noexcept { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

/// The only connection of this process that writes to a file, and its thread, once there is need of it. Jobs that wait at the same time share one
/// transaction and so one flush; each succeeds or fails alone. Calls `after_commit` after each commit that wrote.
/// *Thread safety*: any thread.
class Writer {
public:
    Writer(const std::string& path, const DatabaseOptions& options, std::function<void()> after_commit);
    ~Writer();  ///< finishes what is queued; rolls back what is held

    void submit(std::shared_ptr<WriteJob> job);

    /// Waits for the job's fate. *Cancellation*: ignored once submitted.
    boost::asio::awaitable<void> run(std::shared_ptr<AwaitedJob> job);

    /// Begins a transaction as soon as the writer is free; what is run in it waits for that.
    void submit(std::shared_ptr<Hold> hold);

    /// Runs `work(Connection&)` in a transaction and gives its result after COMMIT has returned. What `work` throws rolls back
    /// this work alone.
    /// `work` may run more than once; see WriteJob. It is copied or moved into the job: name a lambda that captures more
    /// than references before you pass it, GCC 12 destroys it twice otherwise.
    /// *Cancellation*: ignored once submitted; the work owns its data.
    template <class F>
    boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> transact(F work);

    /// The same without waking those who wait for changes.
    template <class F>
    boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> transact_quietly(F work);

    /// The same for threads that may block (not for coroutines): waits for the end.
    template <class F>
    std::invoke_result_t<F&, Connection&> transact_now(F work);

    /// Tells what became of a commit whose answer was not clear: whether `witness` finds its row, once a commit of our own
    /// has made sure that it cannot appear later. @throws Error(store_unavailable) when that is not possible now
    boost::asio::awaitable<bool> resolve(std::function<bool(Connection&)> witness);

    struct Impl;
    Impl& impl() noexcept { return *impl_; }

private:
    /// Runs the job on this thread, when the writer is idle and this thread may wait; else false.
    bool run_here(const std::shared_ptr<WriteJob>& job);
    /// Runs the job and returns when its fate is known.
    void run_blocking(std::shared_ptr<WriteJob> job, std::future<void> done);

    std::unique_ptr<Impl> impl_;
};

namespace writer_detail {

/// What `work` gave; nothing for void.
template <class F, class Base>
struct WorkJob final : Base {
    using Result = std::invoke_result_t<F&, Connection&>;
    using Kept = std::conditional_t<std::is_void_v<Result>, bool, Result>;

    explicit WorkJob(F f) : work(std::move(f)) {}
    void apply(Connection& connection) override {
        if constexpr (std::is_void_v<Result>)
            work(connection);
        else
            result.emplace(work(connection));
    }

    F work;
    std::optional<Kept> result;
};

struct BlockingJob : WriteJob {
    void finish(std::exception_ptr why) noexcept override {
        if (why)
            done.set_exception(std::move(why));
        else
            done.set_value();
    }
    std::promise<void> done;
};

template <class Job>
boost::asio::awaitable<typename Job::Result> result_of(Writer* writer, std::shared_ptr<Job> job) {
    co_await writer->run(job);
    if constexpr (!std::is_void_v<typename Job::Result>)
        co_return std::move(*job->result);
}

}  // namespace writer_detail

template <class F>
boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> Writer::transact(F work) {
    using Job = writer_detail::WorkJob<F, AwaitedJob>;
    return writer_detail::result_of(this, std::make_shared<Job>(std::move(work)));
}

template <class F>
boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> Writer::transact_quietly(F work) {
    using Job = writer_detail::WorkJob<F, AwaitedJob>;
    auto job = std::make_shared<Job>(std::move(work));
    job->wakes = false;
    return writer_detail::result_of(this, std::move(job));
}

template <class F>
std::invoke_result_t<F&, Connection&> Writer::transact_now(F work) {
    using Job = writer_detail::WorkJob<F, writer_detail::BlockingJob>;
    const auto job = std::make_shared<Job>(std::move(work));
    run_blocking(job, job->done.get_future());
    if constexpr (!std::is_void_v<typename Job::Result>)
        return std::move(*job->result);
}

}  // namespace txm::sqlite::detail
