#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>

namespace txm::test {

/// How often, in a thousand requests, each accident happens.
struct Accidents {
    int cut_request = 0;     ///< the connection ends before the server has the request
    int lose_answer = 0;     ///< the server has carried it out, and the connection ends without an answer
    int truncate = 0;        ///< the connection ends in the middle of the answer
    int duplicate = 0;       ///< the server gets the request twice; the client gets the second answer
    int repeat_answer = 0;   ///< the client gets the answer twice
    int delay = 0;           ///< the answer is late, by up to delay_ms
    int throttle = 0;        ///< the server is said to be busy; it has not seen the request
    int internal_error = 0;  ///< a 500 instead of the answer; the server may have carried it out
    int delay_ms = 300;
};

/// An HTTP/1.1 proxy for one server of this machine that does to requests and answers what networks do.
/// *Thread safety*: any thread.
class UnreliableProxy {
public:
    /// @param port 0: a free one
    UnreliableProxy(int server_port, Accidents accidents, int port = 0);
    ~UnreliableProxy();
    UnreliableProxy(const UnreliableProxy&) = delete;
    UnreliableProxy& operator=(const UnreliableProxy&) = delete;

    int port() const noexcept { return port_; }
    /// `http://127.0.0.1:PORT`
    std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }
    std::uint64_t accidents() const noexcept { return accidents_happened_; }

private:
    void accept_for_ever();
    void serve(int client);
    bool roll(int of_a_thousand);

    int server_port_;
    Accidents accidents_;
    int port_ = 0;
    int listener_ = -1;
    std::atomic<bool> is_over_{false};
    std::atomic<std::uint64_t> accidents_happened_{0};
    std::mutex mutex_;
    std::minstd_rand random_{std::random_device{}()};
    std::set<int> open_;
    std::size_t served_ = 0;
    std::condition_variable none_is_served_;
    std::thread acceptor_;
};

}  // namespace txm::test
