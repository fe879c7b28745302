#pragma once

#include "sqlite/connection.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
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
};

/// The only connection of this process that writes to a file, and its thread. Jobs that wait at the same time share one
/// transaction and so one flush; each succeeds or fails alone. Touches the wake file after each commit that wrote.
/// *Thread safety*: any thread.
class Writer {
public:
    Writer(const std::string& path, const DatabaseOptions& options, std::function<void()> after_commit);
    ~Writer();  ///< finishes what is queued

    void submit(std::shared_ptr<WriteJob> job);

    /// Runs `work(Connection&)` in a transaction and gives its result after COMMIT has returned. What `work` throws rolls back
    /// this work alone.
    /// `work` may run more than once; see WriteJob.
    /// *Cancellation*: ignored once submitted; the work owns its data.
    template <class F>
    boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> transact(F work);

    /// The same for threads that may block (not for coroutines): waits for the end.
    template <class F>
    std::invoke_result_t<F&, Connection&> transact_now(F work);

    struct Impl;
    Impl& impl() noexcept {
        return *impl_;
    }

private:
    std::unique_ptr<Impl> impl_;
};

/// Reads committed data on threads of its own, each with a read-only connection.
/// *Thread safety*: any thread.
class Readers {
public:
    Readers(const std::string& path, const DatabaseOptions& options, int threads = 1);
    ~Readers();

    /// Runs `work(Connection&)` outside a transaction: each statement sees one snapshot.
    template <class F>
    boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> run(F work);

    struct Impl;

private:
    std::unique_ptr<Impl> impl_;
};

/// Behind txm::sqlite::Database, and behind the local broker's file.
struct DatabaseImpl {
    DatabaseImpl(const std::string& path, DatabaseOptions options);

    std::string path;
    DatabaseOptions options;
    // … wake file, writer, readers: see database.hpp when it exists
};

}  // namespace txm::sqlite::detail
