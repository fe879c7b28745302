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

    std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

private:
    int port_ = 0;
    pid_t process_ = -1;
};

}  // namespace txm::bench
