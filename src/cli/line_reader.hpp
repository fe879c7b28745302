#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace txm::cli {

/// Lines of a file or of stdin, of bounded length.
/// *Thread safety*: one thread, but for interrupt().
class LineReader {
public:
    enum class Result { line, idle, end, interrupted };

    /// @param path a file; `-` is stdin  @param longest_line in bytes  @throws std::system_error naming the file
    LineReader(const std::string& path, std::size_t longest_line);
    ~LineReader();
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;

    /// The next line, without its end, valid until the next call. With `may_idle` it gives up, as `idle`, when a pipe or
    /// terminal has had nothing to read for a moment.
    /// @throws Error(invalid_message) for a line over the limit, std::system_error
    Result next(std::string_view& line, bool may_idle);

    /// Makes next() return `interrupted`, now or later. *Thread safety*: any thread.
    void interrupt() noexcept;

    /// Bytes read so far, and of how many; 0 when the input is no regular file.
    std::size_t bytes_read() const noexcept { return bytes_read_; }
    std::size_t size() const noexcept { return size_; }

private:
    Result fill(bool may_idle);

    const std::string path_;
    const std::size_t longest_line_;
    int file_ = -1, interrupt_ = -1;
    std::string buffer_;
    std::size_t begin_ = 0, searched_ = 0, bytes_read_ = 0, size_ = 0;
    bool at_end_ = false;
};

}  // namespace txm::cli
