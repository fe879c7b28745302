#include "cli/line_reader.hpp"

#include "txm/error.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace txm::cli {

namespace {

constexpr std::size_t chunk = std::size_t{256} << 10;
constexpr int idle_milliseconds = 100;

[[noreturn]] void fail(int error, const std::string& what) {
    throw std::system_error(error, std::generic_category(), what);
}

}  // namespace

LineReader::LineReader(const std::string& path, std::size_t longest_line)
    : path_(path == "-" ? "stdin" : path), longest_line_(longest_line) {
    file_ = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file_ < 0)
        fail(errno, "cannot open " + path_);
    interrupt_ = ::eventfd(0, EFD_CLOEXEC);
    struct stat status {};
    if (::fstat(file_, &status) == 0 && S_ISREG(status.st_mode))
        size_ = static_cast<std::size_t>(status.st_size);
}

LineReader::~LineReader() {
    if (file_ != STDIN_FILENO)
        ::close(file_);
    ::close(interrupt_);
}

LineReader::Result LineReader::next(std::string_view& line, bool may_idle) {
    for (;;) {
        const std::size_t end = buffer_.find('\n', searched_);
        if (end != std::string::npos) {
            line = std::string_view(buffer_).substr(begin_, end - begin_);
            begin_ = searched_ = end + 1;
            return Result::line;
        }
        searched_ = buffer_.size();
        if (at_end_) {
            if (begin_ == buffer_.size())
                return Result::end;
            line = std::string_view(buffer_).substr(begin_);
            begin_ = buffer_.size();
            return Result::line;
        }
        if (buffer_.size() - begin_ > longest_line_)
            throw Error(Errc::invalid_message,
                        "the line is longer than " + std::to_string(longest_line_ >> 20) + " MiB");
        if (const Result result = fill(may_idle); result != Result::line)
            return result;
    }
}

LineReader::Result LineReader::fill(bool may_idle) {
    pollfd descriptors[] = {{file_, POLLIN, 0}, {interrupt_, POLLIN, 0}};
    int ready = 0;
    do
        ready = ::poll(descriptors, 2, may_idle ? idle_milliseconds : -1);
    while (ready < 0 && errno == EINTR);
    if (descriptors[1].revents != 0)
        return Result::interrupted;
    if (ready == 0)
        return Result::idle;

    buffer_.erase(0, begin_);
    searched_ -= begin_;
    begin_ = 0;
    const std::size_t used = buffer_.size();
    buffer_.resize(used + chunk);
    const ssize_t got = ::read(file_, buffer_.data() + used, chunk);
    const int error = errno;
    buffer_.resize(used + static_cast<std::size_t>(got < 0 ? 0 : got));
    if (got < 0 && error != EINTR && error != EAGAIN)
        fail(error, "cannot read " + path_);
    bytes_read_ += static_cast<std::size_t>(got < 0 ? 0 : got);
    at_end_ = got == 0;
    return Result::line;
}

void LineReader::interrupt() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(interrupt_, &one, sizeof one);
}

}  // namespace txm::cli
