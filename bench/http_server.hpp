#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace txm::bench {

/// A process that answers every request at once, or each after the same time: so what a client costs is its own, and what it
/// waits for is known. Killed with this object.
class HttpServer {
public:
    /// Makes the body of an answer from that of a request, in the server's process.
    using Answer = std::function<std::string(std::string_view request)>;

    /// @param answer none: `{}`
    explicit HttpServer(Answer answer = {}, std::chrono::milliseconds delay = {});
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// The body of the last request that was answered, if it had at most 64 kB.
    std::string last_body() const;

    std::size_t requests() const noexcept;
    /// How many requests waited for their answers at the same time, at most.
    std::size_t most_at_once() const noexcept;

    std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

private:
    int port_ = 0;
    pid_t process_ = -1;
    struct Shared;
    Shared* shared_;  // with the process
};

}  // namespace txm::bench
