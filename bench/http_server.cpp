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

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <map>
#include <new>
#include <stdexcept>
#include <string_view>

namespace txm::bench {

struct HttpServer::Shared {
    std::size_t size;
    std::array<char, 65536> body;
};

namespace {

constexpr std::string_view answer =
    "HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\n"
    "Content-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\nConnection: keep-alive\r\n"
    "x-amzn-RequestId: 4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG\r\nx-amz-crc32: 2745614147\r\n\r\n{}";

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

template <class Shared>
[[noreturn]] void serve(int listener, Shared& shared) {
    const int epoll = ::epoll_create1(0);
    watch(epoll, listener);
    std::map<int, std::string> unread;
    std::array<epoll_event, 64> events;
    for (;;) {
        const int count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), -1);
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
                ::close(fd);
                unread.erase(fd);
                continue;
            }
            std::string& text = unread[fd];
            text.append(chunk, static_cast<std::size_t>(size));
            while (const std::size_t request = request_size(text)) {
                const std::size_t begin = text.find("\r\n\r\n") + 4;
                shared.size = std::min(request - begin, shared.body.size());
                text.copy(shared.body.data(), shared.size, begin);
                text.erase(0, request);
                if (::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0)
                    break;
            }
        }
    }
}

}  // namespace

HttpServer::HttpServer() {
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
        serve(listener, *shared_);
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

}  // namespace txm::bench
