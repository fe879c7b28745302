#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace txm::sqlite::detail {

/// Tells readers of a file that a writer committed: `<db>-txm-wake`, touched after each commit.
/// *Thread safety*: any thread. Never throws: a missed wake-up costs a poll interval, no more.
class WakeFile {
public:
    explicit WakeFile(const std::string& database_path) noexcept;
    ~WakeFile();
    void touch() noexcept;

private:
    std::string path_;
    int fd_ = -1;
};

/// Waits for a wake-up: inotify on the directory (the wake file, and the `-wal` file for writers that do not know txm), and
/// commits in this process. On file systems without notification (network, overlay) only the timeout ends a wait.
/// *Thread safety*: one coroutine in wait(); notify() and interrupt() from any thread.
class WakeListener {
public:
    explicit WakeListener(const std::string& database_path);
    ~WakeListener();

    enum class Event { timeout, wake_file, wal_file, interrupted };

    /// Ends at the first wake-up since the last wait began to look (none between two waits is lost), or after `timeout`.
    boost::asio::awaitable<Event> wait(std::chrono::milliseconds timeout);

    /// A commit in this process. *Thread safety*: any thread.
    void notify() noexcept;
    /// Ends the current and all later waits.
    void interrupt() noexcept;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

/// True on file systems that do not notify across processes or whose locks cannot be trusted to (NFS, CIFS, FUSE, overlay).
bool polls_only(const std::string& path) noexcept;

/// Flushes `<db>-wal`, so that no power cut takes back what was read before. Never opens the database file itself: closing it
/// would drop SQLite's own locks.
/// *Thread safety*: one thread at a time.
class WalFlusher {
public:
    explicit WalFlusher(std::string database_path);
    ~WalFlusher();
    void flush();  ///< @throws Error(store_unavailable)

private:
    std::string path_;
    int fd_ = -1;
    unsigned long long inode_ = 0;
};

}  // namespace txm::sqlite::detail
