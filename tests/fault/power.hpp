#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/// A disk that can lose power. While it is installed, everything SQLite does to files goes through a VFS that logs writes,
/// truncations, deletions and flushes in one order (and flushes by others, of the same files: the executable defines
/// fdatasync and fsync). Afterwards the files can be laid out as a power cut at any point would have left them.
namespace txm::fault_test {

class RecordedDisk {
public:
    RecordedDisk();  ///< becomes SQLite's default VFS
    ~RecordedDisk();
    RecordedDisk(const RecordedDisk&) = delete;
    RecordedDisk& operator=(const RecordedDisk&) = delete;

    /// Remembers that something was promised to somebody at this point of the log.
    void note(const std::string& promise);

    /// The next flush that SQLite does of `file` fails and flushes nothing.
    void fail_next_flush(const std::string& file);

    std::size_t length() const;
    /// Promises noted before point `at`.
    std::vector<std::string> promises_before(std::size_t at) const;
    /// Writes the files of `directory` as they are after a power cut at `at` into `target`: what was flushed before is
    /// there; of each later write, `survives` says whether it happened to reach the disk.
    void replay(std::size_t at, const std::string& directory, const std::string& target,
                const std::function<bool()>& survives) const;
};

}  // namespace txm::fault_test
