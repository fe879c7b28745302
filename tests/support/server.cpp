#include "support/server.hpp"

#include "support/loopback.hpp"

#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace txm::test {
namespace {

using namespace std::chrono_literals;

bool listens(int port) {
    const int fd = connect_to(port);
    if (fd >= 0)
        ::close(fd);
    return fd >= 0;
}

}  // namespace

Server::Server(const std::string& kind) : port_(free_port()) {
    const std::string port = std::to_string(port_);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0)
        throw std::runtime_error("fork failed");
    if (pid_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent)
            ::_exit(1);
        // What it says is of interest only when it fails to start.
        const int log = ::open(("/tmp/txm-" + kind + "-" + port + ".log").c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
        ::dup2(log, 1);
        ::dup2(log, 2);
        ::execl(TXM_SERVE, TXM_SERVE, kind.c_str(), port.c_str(), nullptr);
        ::_exit(127);
    }
    const auto end = std::chrono::steady_clock::now() + 60s;
    while (!listens(port_)) {
        if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
            pid_ = -1;
            throw std::runtime_error("the server " + kind + " ended at once: see /tmp/txm-" + kind + "-" + port +
                                     ".log");
        }
        if (std::chrono::steady_clock::now() > end) {
            kill();
            throw std::runtime_error("the server " + kind + " does not answer on port " + port);
        }
        std::this_thread::sleep_for(20ms);
    }
    ::unlink(("/tmp/txm-" + kind + "-" + port + ".log").c_str());
}

Server::~Server() {
    kill();
}

std::string Server::endpoint() const {
    return "http://127.0.0.1:" + std::to_string(port_);
}

void Server::kill() {
    if (pid_ < 0)
        return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

Server& Server::shared(const std::string& kind) {
    static std::map<std::string, std::unique_ptr<Server>> servers;
    std::unique_ptr<Server>& server = servers[kind];
    if (!server)
        server = std::make_unique<Server>(kind);
    return *server;
}

}  // namespace txm::test
