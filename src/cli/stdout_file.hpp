#pragma once

#include <boost/asio/awaitable.hpp>

#include <string>
#include <string_view>
#include <system_error>

namespace txm::cli {

using boost::asio::awaitable;

/// Whole lines to standard output, whatever it is. A regular file is flushed to disk; a full pipe is waited for without
/// blocking the thread, so that signals and timers go on. Between calls it is known whether the last line was ended: one
/// that a kill or a full disk had cut is ended first, so that no line is ever glued to another.
/// *Thread safety*: one coroutine at a time.
class StdoutFile {
public:
    StdoutFile();

    /// Writes `lines`, which end with a line end; returns once the kernel (and, for a file, the disk) has them.
    /// @throws std::system_error; is_closed() tells the one that no retry can mend
    /// *Cancellation*: between two chunks
    awaitable<void> write(std::string_view lines);

    static bool is_closed(const std::system_error& error) noexcept;

private:
    awaitable<void> write_all(std::string_view bytes);
    bool file_ends_line() const;

    bool is_file_;
    bool at_line_start_;
};

}  // namespace txm::cli
