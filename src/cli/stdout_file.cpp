#include "cli/stdout_file.hpp"

#include "core/fault_point.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace txm::cli {

namespace {

bool stdout_is_file() {
    struct stat status {};
    return ::fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode);
}

[[noreturn]] void fail(int error) {
    throw std::system_error(error, std::generic_category(), "cannot write to stdout");
}

// True when a write of a chunk will not wait. A closed reader counts: the write says so.
bool has_room() {
    pollfd descriptor{STDOUT_FILENO, POLLOUT, 0};
    return ::poll(&descriptor, 1, 0) != 0;
}

}  // namespace

StdoutFile::StdoutFile() : is_file_(stdout_is_file()), at_line_start_(!is_file_) {}

bool StdoutFile::is_closed(const std::system_error& error) noexcept {
    return error.code() == std::errc::broken_pipe || error.code() == std::errc::connection_reset ||
           error.code() == std::errc::bad_file_descriptor;
}

awaitable<void> StdoutFile::write(std::string_view lines) {
    if (!at_line_start_ && !(is_file_ && file_ends_line()))
        co_await write_all("\n");
    at_line_start_ = false;
    co_await write_all(lines);
    at_line_start_ = true;
    if (is_file_) {
        fault::point("stdout.flush");
        if (::fdatasync(STDOUT_FILENO) != 0) {
            const int error = errno;
            at_line_start_ = false;
            fail(error);
        }
    }
}

awaitable<void> StdoutFile::write_all(std::string_view bytes) {
    // A pipe with room takes PIPE_BUF bytes at once and whole. The descriptor itself stays in blocking mode: the mode
    // belongs to whoever shares it, such as the shell.
    constexpr std::size_t pipe_chunk = 4096, file_chunk = std::size_t{1} << 20;
    auto pause = std::chrono::milliseconds{1};
    while (!bytes.empty()) {
        if (!is_file_ && !has_room()) {
            boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor, pause};
            co_await timer.async_wait(boost::asio::use_awaitable);
            pause = std::min(2 * pause, std::chrono::milliseconds{32});
            continue;
        }
        fault::point("stdout.write");
        const ssize_t written =
            ::write(STDOUT_FILENO, bytes.data(), std::min(bytes.size(), is_file_ ? file_chunk : pipe_chunk));
        if (written < 0) {
            const int error = errno;
            if (error != EINTR && error != EAGAIN)
                fail(error);
            continue;
        }
        pause = std::chrono::milliseconds{1};
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
}

// Whether the byte before the place of the next write ends a line. Stdout is often open for writing only: it is read
// through another descriptor. What cannot be read counts as cut: an empty line does no harm.
bool StdoutFile::file_ends_line() const {
    struct stat status {};
    if (::fstat(STDOUT_FILENO, &status) != 0)
        return false;
    const bool appends = ::fcntl(STDOUT_FILENO, F_GETFL) & O_APPEND;
    const off_t place = appends ? status.st_size : ::lseek(STDOUT_FILENO, 0, SEEK_CUR);
    if (place == 0)
        return true;
    const int reader = ::open("/proc/self/fd/1", O_RDONLY | O_CLOEXEC);
    if (reader < 0)
        return false;
    char last = 0;
    const bool ends = ::pread(reader, &last, 1, place - 1) == 1 && last == '\n';
    ::close(reader);
    return ends;
}

}  // namespace txm::cli
