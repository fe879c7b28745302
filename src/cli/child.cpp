#include "cli/child.hpp"

#include "core/spawn_attributes.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <cerrno>
#include <csignal>
#include <memory>
#include <mutex>
#include <set>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;  // NOLINT: POSIX declares it nowhere

namespace txm::cli {

namespace {

namespace asio = boost::asio;

std::mutex mutex;
std::set<pid_t> running;

std::vector<char*> merged_environment(const std::vector<std::string>& added) {
    const auto name = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
    std::vector<char*> merged;
    for (char** entry = environ; *entry; ++entry) {
        bool replaced = false;
        for (const std::string& other : added)
            replaced = replaced || name(other) == name(*entry);
        if (!replaced)
            merged.push_back(*entry);
    }
    for (const std::string& entry : added)
        merged.push_back(const_cast<char*>(entry.c_str()));  // the interface of exec is older than const
    merged.push_back(nullptr);
    return merged;
}

struct Pipe {
    Pipe() {
        if (::pipe2(ends, O_CLOEXEC) != 0)
            throw std::system_error(errno, std::generic_category(), "cannot make a pipe for --exec");
    }
    ~Pipe() {
        close_reader();
        if (ends[1] >= 0)
            ::close(ends[1]);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    void close_reader() {
        if (ends[0] >= 0)
            ::close(ends[0]);
        ends[0] = -1;
    }
    int release_writer() { return std::exchange(ends[1], -1); }
    int ends[2] = {-1, -1};
};

// A command need not read its input to the end.
asio::awaitable<void> feed(std::shared_ptr<asio::posix::stream_descriptor> pipe, std::string input) {
    boost::system::error_code ignored;
    co_await asio::async_write(*pipe, asio::buffer(input), asio::redirect_error(asio::use_awaitable, ignored));
    pipe->close(ignored);
}

}  // namespace

Child::Child(const std::string& command, const std::vector<std::string>& environment, int input) {
    detail::SpawnAttributes spawn;
    posix_spawn_file_actions_adddup2(&spawn.actions, input, STDIN_FILENO);
    std::string shell = "/bin/sh", option = "-c", text = command;
    char* const arguments[] = {shell.data(), option.data(), text.data(), nullptr};
    const std::vector<char*> variables = merged_environment(environment);
    const std::lock_guard lock{mutex};
    if (const int error =
            ::posix_spawn(&pid_, shell.c_str(), &spawn.actions, &spawn.attributes, arguments, variables.data()))
        throw std::system_error(error, std::generic_category(), "cannot start the command of --exec");
    running.insert(pid_);
}

Child::~Child() {
    if (pid_ < 0)
        return;
    ::kill(-pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    forget();
}

void Child::forget() noexcept {
    const std::lock_guard lock{mutex};
    running.erase(pid_);
    pid_ = -1;
}

bool Child::has_ended(int& code) {
    int status = 0;
    const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR))
        return false;
    forget();
    code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return true;
}

void Child::kill_all() noexcept {
    const std::lock_guard lock{mutex};
    for (const pid_t pid : running)
        ::kill(-pid, SIGKILL);
}

asio::awaitable<int> Child::run(std::string command, std::vector<std::string> environment, std::string input) {
    const auto executor = co_await asio::this_coro::executor;
    asio::signal_set ended{executor, SIGCHLD};  // before the start: no end is missed
    Pipe pipe;
    Child child{command, environment, pipe.ends[0]};
    pipe.close_reader();
    auto writer = std::make_shared<asio::posix::stream_descriptor>(executor, pipe.release_writer());
    asio::co_spawn(executor, feed(writer, std::move(input)), asio::detached);
    int code = 0;
    while (!child.has_ended(code))
        co_await ended.async_wait(asio::use_awaitable);
    boost::system::error_code ignored;
    writer->close(ignored);
    co_return code;
}

}  // namespace txm::cli
