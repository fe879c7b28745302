#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace txm::test {

/// A request as it came over the wire.
struct HttpRequest {
    std::string method, path;                    ///< the path with its query
    std::map<std::string, std::string> headers;  ///< names in lower case
    std::string body;
    int connection = 0;  ///< which connection it came over: 1, 2, …

    std::string header(const std::string& name) const {
        const auto found = headers.find(name);
        return found == headers.end() ? std::string() : found->second;
    }
};

/// What a fake answers, and how it misbehaves.
class HttpAnswer {
public:
    HttpAnswer() = default;
    explicit HttpAnswer(int code, std::string text = "{}") : status(code), body(std::move(text)) {}

    /// Reads the request and hangs up without a word.
    static HttpAnswer cut() {
        HttpAnswer answer;
        answer.sent_bytes = 0;
        return answer;
    }

    HttpAnswer& with(std::string name, std::string value) {
        headers.emplace_back(std::move(name), std::move(value));
        return *this;
    }

    int status = 200;
    std::string body = "{}";
    std::vector<std::pair<std::string, std::string>> headers;
    std::chrono::milliseconds delay{0};  ///< before the answer
    long sent_bytes = -1;                ///< hang up after so many of the answer
    bool closes = false;                 ///< hang up after the answer, without saying so before
};

/// A server of HTTP/1.1 on a free port of this machine, which answers what a function of the test says and keeps what it was
/// asked. A thread a connection. *Thread safety*: any thread; the function is called by several at once.
class FakeHttp {
public:
    using Script = std::function<HttpAnswer(const HttpRequest&)>;

    explicit FakeHttp(Script script = {});
    ~FakeHttp();
    FakeHttp(const FakeHttp&) = delete;
    FakeHttp& operator=(const FakeHttp&) = delete;

    int port() const noexcept { return port_; }
    /// `http://127.0.0.1:PORT`
    std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

    std::vector<HttpRequest> requests() const;
    std::size_t count() const;
    int connections() const noexcept { return connections_; }

    /// How many connections are open now.
    std::size_t open() const;

    /// Waits until so many requests have come (10 s at most). @return whether they have
    bool wait_for(std::size_t requests) const;

    /// Hangs up on every connection, as a server does with idle ones.
    void hang_up();

    /// Answers each request in turn with the next of `answers`, and then always with the last.
    static Script in_turn(std::vector<HttpAnswer> answers);

private:
    void accept();
    void serve(int fd, int connection);
    bool answer(int fd, const HttpAnswer& answer);

    Script script_;
    int listener_ = -1;
    int port_ = 0;
    std::atomic<int> connections_{0};
    mutable std::mutex mutex_;
    mutable std::condition_variable came_;
    std::vector<HttpRequest> requests_;
    std::vector<int> open_;
    std::vector<std::thread> threads_;
    bool stopping_ = false;
    std::thread acceptor_;
};

}  // namespace txm::test
