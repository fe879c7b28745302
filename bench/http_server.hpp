#pragma once

#include <sys/types.h>

#include <string>

namespace txm::bench {

/// A process that answers `{}` to every request at once: so what a client costs is its own. Killed with this object.
class HttpServer {
public:
    HttpServer();
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// The body of the last request that was answered, if it had at most 64 kB.
    std::string last_body() const;

    std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

private:
    int port_ = 0;
    pid_t process_ = -1;
    struct Shared;
    Shared* shared_;  // with the process
};

}  // namespace txm::bench
