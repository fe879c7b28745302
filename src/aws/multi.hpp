#pragma once

#include "aws/transfer.hpp"

#include <chrono>
#include <optional>
#include <vector>

namespace txm::aws::detail {

/// A file descriptor that is closed with its owner.
class Descriptor {
public:
    explicit Descriptor(int fd);  ///< @throws std::system_error of errno when it is negative
    ~Descriptor();
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    operator int() const noexcept { return fd_; }

private:
    int fd_;
};

/// The connections of a client and the transfers over them: libcurl's multi handle on an epoll of its own.
/// *Thread safety*: one thread at a time; wake() from any.
class Multi {
public:
    using Clock = std::chrono::steady_clock;

    struct Finished {
        Transfer* transfer;
        CURLcode code;
    };

    explicit Multi(std::size_t max_connections);
    ~Multi();

    void add(Transfer& transfer);
    /// Breaks off what is under way.
    void remove(Transfer& transfer) noexcept;

    /// Waits until something happens, until `deadline` at the latest, and does it.
    /// @return what has finished, until the next call
    const std::vector<Finished>& turn(std::optional<Clock::time_point> deadline);

    void wake() noexcept;

private:
    static int watch(CURL* easy, curl_socket_t socket, int what, void* self, void* known);
    static int set_timer(CURLM* multi, long milliseconds, void* self);

    void act(curl_socket_t socket, int events);
    int timeout_until(std::optional<Clock::time_point> deadline) const;
    void collect();

    struct Free {
        void operator()(CURLM* multi) const noexcept { curl_multi_cleanup(multi); }
    };
    Descriptor epoll_;
    Descriptor wake_;
    std::optional<Clock::time_point> timer_;  // when libcurl wants to be called
    std::vector<Finished> finished_;
    std::unique_ptr<CURLM, Free> multi_;
};

}  // namespace txm::aws::detail
