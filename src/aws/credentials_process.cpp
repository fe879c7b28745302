#include "aws/credentials_process.hpp"

#include "core/spawn_attributes.hpp"
#include "txm/error.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;  // NOLINT: POSIX declares it nowhere

namespace txm::aws::detail {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// A shell with a command, whose output is read. Destroyed while it runs, it is killed with all that it started.
class Process {
public:
    /// Not started when is_running() is false afterwards.
    explicit Process(std::string command) {
        if (::pipe2(ends_, O_CLOEXEC) != 0)
            return;
        txm::detail::SpawnAttributes spawn;
        posix_spawn_file_actions_adddup2(&spawn.actions, ends_[1], STDOUT_FILENO);
        std::string shell = "/bin/sh", option = "-c";
        char* const arguments[] = {shell.data(), option.data(), command.data(), nullptr};
        if (::posix_spawn(&pid_, shell.c_str(), &spawn.actions, &spawn.attributes, arguments, environ) != 0)
            pid_ = -1;
        close(ends_[1]);
    }
    ~Process() {
        if (is_running()) {
            ::kill(-pid_, SIGKILL);
            while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {}
        }
        close(ends_[0]);
        close(ends_[1]);
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    bool is_running() const noexcept { return pid_ > 0; }

    /// All that it writes. Nothing when that has no end in time.
    std::optional<std::string> output(Clock::time_point end) {
        std::string text;
        std::array<char, 4096> chunk;
        for (;;) {
            const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
            if (left <= milliseconds{0})
                return {};
            pollfd ready{ends_[0], POLLIN, 0};
            if (::poll(&ready, 1, static_cast<int>(left.count())) <= 0)
                continue;
            const ssize_t size = ::read(ends_[0], chunk.data(), chunk.size());
            if (size > 0)
                text.append(chunk.data(), static_cast<std::size_t>(size));
            else if (size == 0 || errno != EINTR)
                return text;
        }
    }

    /// Whether it ended well. Nothing when it does not end in time.
    std::optional<bool> result(Clock::time_point end) {
        for (;;) {
            int status = 0;
            const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
            if (ended == pid_ || (ended < 0 && errno != EINTR)) {
                pid_ = -1;
                return ended > 0 && status == 0;
            }
            if (Clock::now() >= end)
                return {};
            std::this_thread::sleep_for(milliseconds{2});  // its output has ended: it will, too
        }
    }

private:
    static void close(int& fd) noexcept {
        if (fd >= 0)
            ::close(fd);
        fd = -1;
    }

    int ends_[2] = {-1, -1};
    pid_t pid_ = -1;
};

}  // namespace

// https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html. The command comes from the user's own
// file, for a shell, as Amazon's tools take it.
Keys credentials_from_process(const std::string& command, const std::string& profile, milliseconds limit) {
    const std::string from = "the credential_process of profile \"" + profile + "\"";
    const Clock::time_point end = Clock::now() + limit;
    Process process(command);
    if (!process.is_running())
        throw Error(Errc::store_unavailable, from + " cannot be started");
    const std::optional<std::string> output = process.output(end);
    const std::optional<bool> result = output ? process.result(end) : std::nullopt;
    if (!result)
        throw Error(Errc::store_unavailable,
                    from + " was killed: it did not end within " +
                        std::to_string(std::chrono::ceil<std::chrono::seconds>(limit).count()) +
                        " s; run it by hand to see why");
    if (!*result)
        throw Error(Errc::store_unavailable, from + " failed: run it by hand to see why");
    return read_keys(*output, from);
}

}  // namespace txm::aws::detail
