#pragma once

#include <functional>
#include <memory>
#include <string>

namespace txm::cli {

/// What /readyz answers.
struct Readiness {
    bool ready = true;
    std::string text;
};

/// Serves /metrics, /healthz and /readyz over HTTP, from threads of its own.
class AdminServer {
public:
    /// Listens at once. @param address `HOST:PORT`, `:PORT` or `PORT`; without a host only this machine can reach it
    /// @param origin where the address stands  @throws UsageError for what is no address, std::runtime_error when the
    /// port cannot be had. The functions are called from the server's threads.
    AdminServer(const std::string& address, const std::string& origin, std::function<std::string()> metrics,
                std::function<Readiness()> readiness);
    ~AdminServer();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace txm::cli
