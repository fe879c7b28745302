#include "cli/admin_server.hpp"

#include "cli/log.hpp"
#include "cli/settings.hpp"

#include <spdlog/logger.h>

#include <atomic>
#include <charconv>
#include <stdexcept>
#include <thread>
#include <utility>

#include <httplib.h>

namespace txm::cli {

namespace {

struct Address {
    std::string host = "127.0.0.1";
    int port = 0;
};

Address parse_address(const std::string& text, const std::string& origin) {
    Address address;
    const std::size_t colon = text.rfind(':');
    std::string host = colon == std::string::npos ? "" : text.substr(0, colon);
    const std::string port = text.substr(colon == std::string::npos ? 0 : colon + 1);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    if (!host.empty())
        address.host = host;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc{} || end != port.data() + port.size() || address.port < 0 || address.port > 65535)
        throw UsageError(origin + " must be HOST:PORT or PORT, not '" + text + "'");
    return address;
}

}  // namespace

class AdminServer::Impl {
public:
    Impl(const Address& address, std::function<std::string()> metrics, std::function<Readiness()> readiness) {
        server_.new_task_queue = [] { return new httplib::ThreadPool(2); };
        server_.Get("/metrics", [metrics = std::move(metrics)](const httplib::Request&, httplib::Response& response) {
            response.set_content(metrics(), "text/plain; version=0.0.4; charset=utf-8");
        });
        server_.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
            response.set_content("ok\n", "text/plain");
        });
        server_.Get("/readyz",
                    [readiness = std::move(readiness)](const httplib::Request&, httplib::Response& response) {
                        const Readiness answer = readiness();
                        response.status = answer.ready ? 200 : 503;
                        response.set_content(answer.text + "\n", "text/plain");
                    });
        server_.set_exception_handler(
            [](const httplib::Request&, httplib::Response& response, std::exception_ptr failure) {
                response.status = 503;
                try {
                    std::rethrow_exception(failure);
                } catch (const std::exception& error) {
                    response.set_content(std::string(error.what()) + "\n", "text/plain");
                } catch (...) {
                    response.set_content("failed\n", "text/plain");
                }
            });
        const int port = address.port == 0 ? server_.bind_to_any_port(address.host)
                                           : (server_.bind_to_port(address.host, address.port) ? address.port : -1);
        if (port < 0)
            throw std::runtime_error("cannot listen on " + address.host + ":" + std::to_string(address.port) +
                                     ": is the port in use? (--admin)");
        log().info("/metrics, /healthz and /readyz at http://{}:{}", address.host, port);
        thread_ = std::thread{[this] {
            server_.listen_after_bind();
            ended_ = true;
        }};
        // stop() is lost on a server that does not run yet.
        while (!server_.is_running() && !ended_)
            std::this_thread::yield();
    }

    ~Impl() {
        server_.stop();
        thread_.join();
    }

private:
    httplib::Server server_;
    std::atomic<bool> ended_{false};
    std::thread thread_;
};

AdminServer::AdminServer(const std::string& address, const std::string& origin, std::function<std::string()> metrics,
                         std::function<Readiness()> readiness)
    : impl_(std::make_unique<Impl>(parse_address(address, origin), std::move(metrics), std::move(readiness))) {}

AdminServer::~AdminServer() = default;

}  // namespace txm::cli
