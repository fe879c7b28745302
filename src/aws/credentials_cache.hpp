#pragma once

#include "aws/credentials.hpp"

#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

namespace txm::aws::detail {

/// The credentials of a client: found once, renewed before they are over while requests go on with the old ones.
/// Whatever may block runs on a thread of its own, one at a time. *Thread safety*: any thread.
class CredentialsCache {
public:
    using Given = std::shared_ptr<const Credentials>;

    /// @param on_change called when a search is over, on its thread
    CredentialsCache(ClientOptions options, std::string region, std::function<void()> on_change);
    ~CredentialsCache();  ///< waits for a search that is under way: each source has a limit, a minute at most

    /// Null while they are being looked for: ask again after `on_change`. @throws what the last search threw, once
    Given get();

    /// Makes get() look for others, unless it would give others than `refused` already.
    /// @return false when there can be none: these were given by hand
    bool renew(const Given& refused);

private:
    using Clock = std::chrono::system_clock;

    void search();
    void plan_search();

    const ClientOptions options_;
    const std::string region_;
    const std::function<void()> on_change_;
    std::mutex mutex_;
    std::optional<Keys> keys_;
    Clock::time_point valid_until_{};  // of keys that will be over
    std::exception_ptr failure_;
    Clock::time_point next_search_{};  // of keys that will be over
    bool is_searching_ = false;
    std::thread thread_;
};

}  // namespace txm::aws::detail
