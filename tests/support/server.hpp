#pragma once

#include <string>

#include <sys/types.h>

namespace txm::test {

/// A server of tools/dev/serve, on a free port of this machine, as long as this lives; killed with the test at the latest.
class Server {
public:
    /// Starts it and waits until it answers. @param kind `dynamodb`, `fauxqs` or `moto`
    /// @throws std::runtime_error when it cannot be had: that is a failure, never a reason to skip
    explicit Server(const std::string& kind);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    int port() const noexcept { return port_; }
    /// `http://127.0.0.1:PORT`
    std::string endpoint() const;

    /// kill -9, as a crash would; what it kept is gone.
    void kill();

    /// The one of that kind that this test program shares, started at first use.
    static Server& shared(const std::string& kind);

private:
    int port_ = 0;
    pid_t pid_ = -1;
};

}  // namespace txm::test
