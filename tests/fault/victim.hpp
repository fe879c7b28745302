#pragma once

#include "txm/message.hpp"
#include "txm/topics.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <string>

namespace txm::test {

/// What the applications of the worlds publish.
struct Happened {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    std::string aggregate_id{};
    std::string text{};
    Timestamp created_at = now();
    std::string serialize() const { return text; }
};

inline const TopicMap happened_topics{topic<Happened>("events", "happened")};

/// What an application was told of its messages, in a file that outlives it: lines `+id` committed, `-id` not committed.
class Told {
public:
    explicit Told(const std::string& path) : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644)) {}

    void append(const std::string& lines) const {
        if (::write(fd_, lines.data(), lines.size()) != static_cast<ssize_t>(lines.size()))
            ::_exit(3);
    }

private:
    int fd_;
};

/// Runs what has run() and stop() until it ends, or is told to by SIGTERM. @returns the exit code
template <class Runner>
int run_until_told(Runner& runner, const char* name) {
    boost::asio::io_context context{1};
    int code = 0;
    boost::asio::signal_set signals{context, SIGTERM};
    signals.async_wait([&](boost::system::error_code error, int) {
        if (!error)
            runner.stop();
    });
    boost::asio::co_spawn(context, runner.run(), [&](std::exception_ptr error) {
        signals.cancel();
        if (!error)
            return;
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            std::cerr << name << ": " << e.what() << '\n';
            code = 1;
        }
    });
    context.run();
    return code;
}

}  // namespace txm::test
