#include "support/unreliable_proxy.hpp"

#include "support/loopback.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string_view>

#include <netinet/tcp.h>
#include <unistd.h>

namespace txm::test {
namespace {

int connect_quickly(int port) {
    const int fd = connect_to(port);
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

bool send_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
}

/// The value of a header in lower-case `head`; empty when there is none.
std::string header(const std::string& head, const std::string& name) {
    const auto at = head.find("\r\n" + name + ":");
    if (at == std::string::npos)
        return {};
    const auto begin = head.find_first_not_of(' ', at + name.size() + 3);
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

/// Reads messages of HTTP/1.1 from a connection, each whole and as it came.
class Reader {
public:
    explicit Reader(int fd) : fd_(fd) {}

    /// None when the connection ended.
    std::optional<std::string> next() {
        std::size_t end = 0;
        while ((end = buffer_.find("\r\n\r\n")) == std::string::npos)
            if (!more())
                return {};
        std::string head = buffer_.substr(0, end + 2);
        std::ranges::transform(head, head.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        std::size_t size = end + 4;
        if (header(head, "transfer-encoding") == "chunked") {
            for (;;) {
                std::size_t line = 0;
                while ((line = buffer_.find("\r\n", size)) == std::string::npos)
                    if (!more())
                        return {};
                const std::size_t chunk = std::stoul(buffer_.substr(size, line - size), nullptr, 16);
                size = line + 2 + chunk + 2;
                while (buffer_.size() < size)
                    if (!more())
                        return {};
                if (chunk == 0)
                    break;
            }
        } else if (const std::string length = header(head, "content-length"); !length.empty()) {
            size += std::stoul(length);
            while (buffer_.size() < size)
                if (!more())
                    return {};
        }
        std::string message = buffer_.substr(0, size);
        buffer_.erase(0, size);
        return message;
    }

private:
    bool more() {
        char bytes[16'384];
        const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
        if (got <= 0)
            return false;
        buffer_.append(bytes, static_cast<std::size_t>(got));
        return true;
    }

    int fd_;
    std::string buffer_;
};

/// In the words of whichever protocol the client speaks.
std::string refusal(const std::string& request, int status, const std::string& type) {
    const bool is_query = request.find("x-www-form-urlencoded") != std::string::npos;
    const std::string body =
        is_query
            ? "<ErrorResponse><Error><Code>" + type + "</Code><Message>an accident</Message></Error></ErrorResponse>"
            : "{\"__type\":\"com.amazonaws.dynamodb.v20120810#" + type + "\",\"message\":\"an accident\"}";
    return "HTTP/1.1 " + std::to_string(status) +
           " Refused\r\nContent-Type: " + (is_query ? "text/xml" : "application/x-amz-json-1.0") +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

UnreliableProxy::UnreliableProxy(int server_port, Accidents accidents, int port)
    : server_port_(server_port), accidents_(accidents) {
    const Listener listener = listen_on(port);
    listener_ = listener.fd;
    port_ = listener.port;
    acceptor_ = std::thread{[this] { accept_for_ever(); }};
}

UnreliableProxy::~UnreliableProxy() {
    {
        const std::lock_guard lock{mutex_};
        is_over_ = true;
        ::shutdown(listener_, SHUT_RDWR);
        for (const int fd : open_)
            ::shutdown(fd, SHUT_RDWR);
    }
    acceptor_.join();
    std::unique_lock lock{mutex_};
    none_is_served_.wait(lock, [this] { return served_ == 0; });
    ::close(listener_);
}

bool UnreliableProxy::roll(int of_a_thousand) {
    if (of_a_thousand == 0)
        return false;
    const std::lock_guard lock{mutex_};
    const bool happens = static_cast<int>(random_() % 1000) < of_a_thousand;
    accidents_happened_ += happens ? 1 : 0;
    return happens;
}

void UnreliableProxy::accept_for_ever() {
    for (;;) {
        const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        const std::lock_guard lock{mutex_};
        if (is_over_ || client < 0) {
            if (client >= 0)
                ::close(client);
            return;
        }
        const int on = 1;
        ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        open_.insert(client);
        ++served_;
        std::thread{[this, client] { serve(client); }}.detach();
    }
}

void UnreliableProxy::serve(int client) {
    const int server = connect_quickly(server_port_);
    if (server >= 0) {
        {
            const std::lock_guard lock{mutex_};
            open_.insert(server);
            if (is_over_)
                ::shutdown(server, SHUT_RDWR);
        }
        Reader requests{client}, answers{server};
        while (const auto request = requests.next()) {
            if (roll(accidents_.cut_request))
                break;
            if (roll(accidents_.throttle)) {
                if (!send_all(client, refusal(*request, 400, "ThrottlingException")))
                    break;
                continue;
            }
            if (!send_all(server, *request))
                break;
            auto answer = answers.next();
            if (answer && roll(accidents_.duplicate) && send_all(server, *request))
                answer = answers.next();
            if (!answer || roll(accidents_.lose_answer))
                break;
            if (roll(accidents_.internal_error))
                answer = refusal(*request, 500, "InternalServerError");
            if (roll(accidents_.delay)) {
                int ms = 0;
                {
                    const std::lock_guard lock{mutex_};
                    ms = static_cast<int>(random_() % static_cast<unsigned>(accidents_.delay_ms));
                }
                std::this_thread::sleep_for(std::chrono::milliseconds(ms));
            }
            if (roll(accidents_.truncate)) {
                send_all(client, std::string_view(*answer).substr(0, answer->size() - answer->size() / 3));
                break;
            }
            if (!send_all(client, *answer))
                break;
            if (roll(accidents_.repeat_answer) && !send_all(client, *answer))
                break;
        }
    }
    const std::lock_guard lock{mutex_};
    for (const int fd : {client, server}) {
        open_.erase(fd);
        if (fd >= 0)
            ::close(fd);
    }
    if (--served_ == 0)
        none_is_served_.notify_all();
}

}  // namespace txm::test
