#pragma once

#include "asio/suspension.hpp"
#include "sqlite/connection.hpp"

#include <boost/asio/awaitable.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace txm::sqlite::detail {

/// Reads for a coroutine that waits.
struct ReadJob {
    virtual ~ReadJob() = default;
    virtual void apply(Connection& connection) = 0;

    std::exception_ptr error;
    txm::detail::Suspension suspension;
};

/// Reads committed data on threads of its own, each with a read-only connection, opened when first needed.
/// *Thread safety*: any thread.
class Readers {
public:
    Readers(const std::string& path, const DatabaseOptions& options, int threads = 1);
    ~Readers();  ///< finishes what is queued

    /// Runs `work(Connection&)` outside a transaction: each statement sees one snapshot.
    /// Name a lambda that captures more than references before you pass it, GCC 12 destroys it twice otherwise.
    template <class F>
    boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> run(F work);

    boost::asio::awaitable<void> wait_for(std::shared_ptr<ReadJob> job);

    struct Impl;

private:
    std::unique_ptr<Impl> impl_;
};

namespace readers_detail {

template <class F>
struct WorkJob final : ReadJob {
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

template <class Job>
boost::asio::awaitable<typename Job::Result> result_of(Readers* readers, std::shared_ptr<Job> job) {
    co_await readers->wait_for(job);
    if constexpr (!std::is_void_v<typename Job::Result>)
        co_return std::move(*job->result);
}

}  // namespace readers_detail

template <class F>
boost::asio::awaitable<std::invoke_result_t<F&, Connection&>> Readers::run(F work) {
    using Job = readers_detail::WorkJob<F>;
    return readers_detail::result_of(this, std::make_shared<Job>(std::move(work)));
}

}  // namespace txm::sqlite::detail
