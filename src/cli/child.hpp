#pragma once

#include <boost/asio/awaitable.hpp>

#include <string>
#include <vector>

#include <sys/types.h>

namespace txm::cli {

/// A shell command with a text on its stdin, in a process group of its own: a Ctrl-C at the terminal stops txm, which lets the
/// command finish. Destroyed while it runs, it kills the group.
/// *Thread safety*: one coroutine.
class Child {
public:
    /// Waits for the command's end. @param environment `NAME=value`, added to txm's own
    /// @returns its exit code, or 128 + the signal that killed it  @throws std::system_error when it cannot be started
    static boost::asio::awaitable<int> run(std::string command, std::vector<std::string> environment,
                                           std::string input);

    /// Kills all that run now. *Thread safety*: any thread.
    static void kill_all() noexcept;

    Child(const std::string& command, const std::vector<std::string>& environment, int input);
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child();

    /// True once it has ended; `code` is then what run() gives.
    bool has_ended(int& code);

private:
    void forget() noexcept;

    pid_t pid_ = -1;
};

}  // namespace txm::cli
