#pragma once

#include "aws/call.hpp"
#include "aws/credentials_cache.hpp"
#include "aws/endpoint.hpp"
#include "aws/multi.hpp"
#include "aws/refusal.hpp"
#include "aws/signer.hpp"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string_view>
#include <thread>
#include <vector>

namespace txm::aws::detail {

/// Carries out calls: signs, sends, judges the answer, tries again. Whoever drives it, its own thread or a caller that may
/// block, drives it for all. *Thread safety*: submit(), run_here() and stop() from any thread.
class Engine {
public:
    Engine(ClientOptions options, Service service, std::string region);
    ~Engine();

    /// Hands over; the call is resumed when it is done.
    void submit(Call& call);

    /// Carries it out on this thread, when nobody drives the engine and it is no long wait; else false.
    bool run_here(Call& call);

    /// Fails what is under way and ends the thread.
    void stop() noexcept;

    const Endpoint& endpoint() const noexcept { return endpoint_; }
    std::uint64_t connects() const noexcept { return connects_.load(std::memory_order_relaxed); }

private:
    using Clock = Multi::Clock;

    // Who drives (engine.cpp).
    void serve();
    /// Drives until nothing is left to do, or until `own` is done.
    void drive(const Call* own);
    /// Stops driving when there is nothing more to do here; what is left goes to the thread.
    bool leave(const Call* own);
    bool is_busy() const noexcept;
    void fail_all() noexcept;

    // What becomes of a call (attempt.cpp).
    void start_waiting();
    void look_for_keys() noexcept;
    void look_again();
    void resume_paused();
    void start(Call& call) noexcept;
    void send(Call& call);
    void add_headers(Transfer& transfer, const Call& call);
    void finish(Transfer& transfer, CURLcode code);
    void release(Transfer& transfer);
    bool was_given_before(std::string_view request_id) noexcept;
    void judge_silence(Call& call, const Answer& answer);
    void judge_refusal(Call& call, Answer& answer);
    bool may_repeat(const Call& call, bool may_have_been_carried_out) const noexcept;
    bool may_repeat_throttled(const Call& call) const noexcept;
    void repeat_later(Call& call);
    bool adopt_time(Call& call, const Answer& answer, ErrorKind kind);
    bool renew_credentials(Call& call, ErrorKind kind);
    std::exception_ptr closed(const Call& call) const;
    void fail(Call& call, std::exception_ptr error) noexcept;
    void done(Call& call) noexcept;

    const ClientOptions options_;
    const Service service_;
    const std::string region_;
    const Endpoint endpoint_;

    std::mutex mutex_;  // of what follows, up to thread_
    std::condition_variable changed_;
    CallList submitted_;
    bool is_driven_ = false;
    bool is_waiting_ = false;  // the driver may sleep: wake it
    bool is_stopping_ = false;
    std::thread thread_;

    // The driver's own.
    Multi multi_;
    std::vector<std::unique_ptr<Transfer>> transfers_;
    std::vector<Transfer*> idle_;
    std::size_t active_ = 0;
    CallList waiting_;       // for a transfer
    CallList without_keys_;  // for credentials
    std::multimap<Clock::time_point, Call*> paused_;
    Signer signer_;
    std::chrono::seconds clock_difference_{0};  // of the service's clock to ours
    // Hashes of their request ids: of more answers than can come between one and its copy, on a connection in use.
    std::vector<std::size_t> last_answers_;
    std::size_t next_answer_ = 0;
    std::minstd_rand random_{std::random_device{}()};
    std::atomic<std::uint64_t> connects_{0};

    CredentialsCache credentials_;  // the last: its thread calls look_again()
};

}  // namespace txm::aws::detail
