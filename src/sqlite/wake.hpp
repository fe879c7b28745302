#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

namespace txm::sqlite::detail {

/// Tells readers of a file in other processes that a writer committed: `<db>-txm-wake`, read after each commit. That is an
/// event for who watches it and changes nothing on the disk, so that the next flush has no more to do. Opening it for
/// writing and closing it, as a shell's `: >>` does, is as good.
/// *Thread safety*: any thread. Never throws: a missed wake-up costs a poll interval, no more.
class WakeFile {
public:
    explicit WakeFile(const std::string& database_path);
    ~WakeFile();
    WakeFile(const WakeFile&) = delete;
    WakeFile& operator=(const WakeFile&) = delete;
    void touch() noexcept;

private:
    void reopen() noexcept;

    const std::string path_;
    std::mutex mutex_;
    int fd_ = -1;
};

/// Waits for a wake-up: inotify on the wake file, and on the `-wal` file for writers that do not know txm; and
/// commits in this process. On file systems without notification (network, overlay) only the timeout and commits in this
/// process end a wait.
/// *Thread safety*: one coroutine in wait(); notify() and interrupt() from any thread. *Lifetime*: not destroyed during
/// wait().
class WakeListener {
public:
    enum class Writers { any, txm_only };

    /// @param writers `txm_only`: every commit touches the wake file, so that the `-wal` file need not be watched, which each
    /// own commit changes, too
    explicit WakeListener(const std::string& database_path, Writers writers = Writers::any);
    ~WakeListener();
    WakeListener(const WakeListener&) = delete;
    WakeListener& operator=(const WakeListener&) = delete;

    enum class Event { timeout, wake_file, wal_file, interrupted };

    /// Ends at the first wake-up since the last wait ended (none between two waits is lost), or after `timeout`.
    /// `wal_file` may come before what is written there can be seen. *Cancellation*: operation_aborted.
    boost::asio::awaitable<Event> wait(std::chrono::nanoseconds timeout);

    /// A commit in this process. *Thread safety*: any thread.
    void notify() noexcept;
    /// Ends the current and all later waits.
    void interrupt() noexcept;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// True on file systems that do not notify across processes or whose locks cannot be trusted to (NFS, CIFS, FUSE, overlay).
bool polls_only(const std::string& path) noexcept;

/// Flushes `<db>-wal`, so that no power cut takes back what was read before. Never opens the database file itself: closing it
/// would drop SQLite's own locks.
/// *Thread safety*: one thread at a time.
class WalFlusher {
public:
    explicit WalFlusher(const std::string& database_path);
    ~WalFlusher();
    WalFlusher(const WalFlusher&) = delete;
    WalFlusher& operator=(const WalFlusher&) = delete;
    void flush();  ///< @throws Error(store_unavailable)

private:
    void reopen();

    std::string path_;
    int fd_ = -1;
};

}  // namespace txm::sqlite::detail
