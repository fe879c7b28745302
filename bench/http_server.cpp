#include "http_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <map>
#include <new>
#include <stdexcept>
#include <utility>

namespace txm::bench {

struct HttpServer::Shared {
    std::atomic<std::size_t> requests, most_at_once;
    std::size_t size;
    std::array<char, 65536> body;
};

namespace {

using Clock = std::chrono::steady_clock;

/// An answer as the services give it. Each has an id of its own.
std::string answer_with(const std::string& body, std::size_t number) {
    const auto sum = crc32_z(0, reinterpret_cast<const Bytef*>(body.data()), body.size());
    return "HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\n"
           "Content-Type: application/x-amz-json-1.0\r\nContent-Length: " +
           std::to_string(body.size()) +
           "\r\nConnection: keep-alive\r\nx-amzn-RequestId: 4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJ" +
           std::to_string(100'000'000'000 + number) + "\r\nx-amz-crc32: " + std::to_string(sum) + "\r\n\r\n" + body;
}

/// How many bytes the first request in `text` has; 0 while it is not there as a whole.
std::size_t request_size(std::string_view text) {
    const std::size_t end = text.find("\r\n\r\n");
    const std::size_t length = text.find("Content-Length: ");
    if (end == std::string_view::npos || length == std::string_view::npos)
        return 0;
    const std::size_t size = end + 4 + std::strtoul(text.data() + length + 16, nullptr, 10);
    return text.size() < size ? 0 : size;
}

void watch(int epoll, int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

struct Due {
    Clock::time_point time;
    int fd;
    std::string text;
};

int milliseconds_until(const std::deque<Due>& due) {
    if (due.empty())
        return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due.front().time - Clock::now()).count();
    return static_cast<int>(std::max<long>(left, 0));
}

template <class Shared>
[[noreturn]] void serve(int listener, Shared& shared, const HttpServer::Answer& answer,
                        std::chrono::milliseconds delay) {
    const int epoll = ::epoll_create1(0);
    watch(epoll, listener);
    std::map<int, std::string> unread;
    std::deque<Due> due;
    std::array<epoll_event, 64> events;
    for (;;) {
        const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), milliseconds_until(due));
        for (int i = 0; i < count; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (fd == listener) {
                const int accepted = ::accept(listener, nullptr, nullptr);
                const int on = 1;
                ::setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                watch(epoll, accepted);
                continue;
            }
            char chunk[65536];
            const ssize_t size = ::recv(fd, chunk, sizeof chunk, 0);
            if (size <= 0) {
                std::erase_if(due, [fd](const Due& d) { return d.fd == fd; });
                ::close(fd);
                unread.erase(fd);
                continue;
            }
            std::string& text = unread[fd];
            text.append(chunk, static_cast<std::size_t>(size));
            while (const std::size_t request = request_size(text)) {
                const std::size_t begin = text.find("\r\n\r\n") + 4;
                const std::string_view body = std::string_view(text).substr(begin, request - begin);
                shared.size = body.copy(shared.body.data(), shared.body.size());
                due.push_back({Clock::now() + delay, fd, answer_with(answer ? answer(body) : "{}", ++shared.requests)});
                text.erase(0, request);
            }
        }
        shared.most_at_once = std::max<std::size_t>(shared.most_at_once, due.size());
        for (; !due.empty() && due.front().time <= Clock::now(); due.pop_front()) [[maybe_unused]]
            const ssize_t sent = ::send(due.front().fd, due.front().text.data(), due.front().text.size(), MSG_NOSIGNAL);
    }
}

}  // namespace

HttpServer::HttpServer(Answer answer, std::chrono::milliseconds delay) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener, 256) != 0)
        throw std::runtime_error("the server of the measurement has no port");
    ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    void* const memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        throw std::bad_alloc();
    shared_ = new (memory) Shared;
    process_ = ::fork();
    if (process_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listener, *shared_, answer, delay);
    }
    ::close(listener);
}

HttpServer::~HttpServer() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    ::munmap(shared_, sizeof(Shared));
}

std::string HttpServer::last_body() const {
    return {shared_->body.data(), shared_->size};
}

std::size_t HttpServer::requests() const noexcept {
    return shared_->requests;
}

std::size_t HttpServer::most_at_once() const noexcept {
    return shared_->most_at_once;
}

}  // namespace txm::bench
