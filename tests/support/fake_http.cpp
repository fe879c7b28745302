#include "support/fake_http.hpp"

#include "support/loopback.hpp"

#include <algorithm>
#include <cctype>
#include <memory>
#include <optional>
#include <stdexcept>

#include <netinet/tcp.h>
#include <unistd.h>

namespace txm::test {
namespace {

/// Reads from a socket by line and by size.
class Reader {
public:
    explicit Reader(int fd) : fd_(fd) {}

    std::optional<std::string> line() {
        std::size_t end = 0;
        while ((end = buffer_.find("\r\n")) == std::string::npos)
            if (!more())
                return std::nullopt;
        std::string text = buffer_.substr(0, end);
        buffer_.erase(0, end + 2);
        return text;
    }

    std::optional<std::string> bytes(std::size_t size) {
        while (buffer_.size() < size)
            if (!more())
                return std::nullopt;
        std::string text = buffer_.substr(0, size);
        buffer_.erase(0, size);
        return text;
    }

private:
    bool more() {
        char chunk[65536];
        const ssize_t size = ::recv(fd_, chunk, sizeof chunk, 0);
        if (size <= 0)
            return false;
        buffer_.append(chunk, static_cast<std::size_t>(size));
        return true;
    }

    int fd_;
    std::string buffer_;
};

std::optional<HttpRequest> read_request(Reader& reader) {
    const std::optional<std::string> first = reader.line();
    if (!first)
        return std::nullopt;
    HttpRequest request;
    const std::size_t space = first->find(' ');
    request.method = first->substr(0, space);
    request.path = first->substr(space + 1, first->rfind(' ') - space - 1);
    for (;;) {
        const std::optional<std::string> line = reader.line();
        if (!line)
            return std::nullopt;
        if (line->empty())
            break;
        const std::size_t colon = line->find(':');
        std::string name = line->substr(0, colon);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        request.headers[name] = line->substr(std::min(line->find_first_not_of(' ', colon + 1), line->size()));
    }
    const std::string length = request.header("content-length");
    const std::optional<std::string> body = reader.bytes(length.empty() ? 0 : std::stoul(length));
    if (!body)
        return std::nullopt;
    request.body = *body;
    return request;
}

}  // namespace

FakeHttp::FakeHttp(Script script)
    : script_(script ? std::move(script) : [](const HttpRequest&) { return HttpAnswer(); }) {
    const Listener listener = listen_on(0);
    listener_ = listener.fd;
    port_ = listener.port;
    acceptor_ = std::thread([this] { accept(); });
}

FakeHttp::~FakeHttp() {
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
    }
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    hang_up();
    for (std::thread& thread : threads_)
        thread.join();
}

std::vector<HttpRequest> FakeHttp::requests() const {
    const std::scoped_lock lock(mutex_);
    return requests_;
}

std::size_t FakeHttp::count() const {
    const std::scoped_lock lock(mutex_);
    return requests_.size();
}

std::size_t FakeHttp::open() const {
    const std::scoped_lock lock(mutex_);
    return open_.size();
}

bool FakeHttp::wait_for(std::size_t requests) const {
    std::unique_lock lock(mutex_);
    return came_.wait_for(lock, std::chrono::seconds(10), [&] { return requests_.size() >= requests; });
}

void FakeHttp::hang_up() {
    const std::scoped_lock lock(mutex_);
    for (const int fd : open_)
        ::shutdown(fd, SHUT_RDWR);
}

FakeHttp::Script FakeHttp::in_turn(std::vector<HttpAnswer> answers) {
    const auto next = std::make_shared<std::atomic<std::size_t>>(0);
    return [answers = std::move(answers), next](const HttpRequest&) {
        return answers.at(std::min(next->fetch_add(1), answers.size() - 1));
    };
}

void FakeHttp::accept() {
    for (;;) {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        const std::scoped_lock lock(mutex_);
        if (stopping_ || fd < 0) {
            if (fd >= 0)
                ::close(fd);
            return;
        }
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        open_.push_back(fd);
        threads_.emplace_back([this, fd, connection = ++connections_] { serve(fd, connection); });
    }
}

void FakeHttp::serve(int fd, int connection) {
    Reader reader(fd);
    while (std::optional<HttpRequest> request = read_request(reader)) {
        request->connection = connection;
        {
            const std::scoped_lock lock(mutex_);
            requests_.push_back(*request);
        }
        came_.notify_all();
        if (!answer(fd, script_(*request)))
            break;
    }
    const std::scoped_lock lock(mutex_);
    ::close(fd);
    std::erase(open_, fd);
}

bool FakeHttp::answer(int fd, const HttpAnswer& answer) {
    if (answer.delay.count() > 0)
        std::this_thread::sleep_for(answer.delay);
    std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " X\r\n";
    for (const auto& [name, value] : answer.headers)
        text += name + ": " + value + "\r\n";
    text += "Content-Length: " + std::to_string(answer.body.size()) + "\r\n\r\n" + answer.body;
    if (answer.sent_bytes >= 0)
        text.resize(std::min(text.size(), static_cast<std::size_t>(answer.sent_bytes)));
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t size = ::send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (size <= 0)
            return false;
        sent += static_cast<std::size_t>(size);
    }
    return answer.sent_bytes < 0 && !answer.closes;
}

}  // namespace txm::test
