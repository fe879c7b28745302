#include "sqlite/wake.hpp"

#include "core/fault_point.hpp"
#include "txm/error.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <linux/magic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <utility>

namespace txm::sqlite::detail {
namespace {

constexpr auto wake_suffix = "-txm-wake";
constexpr auto wal_suffix = "-wal";
constexpr long cifs_magic = 0xff534d42;
constexpr long smb2_magic = 0xfe534d42;

class Descriptor {
public:
    explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() { reset(); }
    int get() const noexcept { return fd_; }
    void reset(int fd = -1) noexcept {
        if (fd_ >= 0)
            ::close(fd_);
        fd_ = fd;
    }

private:
    int fd_;
};

[[noreturn]] void throw_system_error(const std::string& doing) {
    const int code = errno;
    throw Error(std::error_code(code, std::system_category()), doing + " failed: " + std::strerror(code));
}

void drain_counter(int fd) noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto size = ::read(fd, &count, sizeof count);
}

std::filesystem::path directory_of(const std::string& path) {
    const auto directory = std::filesystem::path(path).parent_path();
    return directory.empty() ? std::filesystem::path(".") : directory;
}

}  // namespace

WakeFile::WakeFile(const std::string& database_path) : path_(database_path + wake_suffix) {}

WakeFile::~WakeFile() {
    if (fd_ >= 0)
        ::close(fd_);
}

void WakeFile::touch() noexcept {
    try {
        fault::point("sqlite_wake.touch");
    } catch (const Error&) {
        return;
    }
    // Reading costs a fifth of opening and closing on ext4, and changes nothing that the file system's journal would write.
    const std::lock_guard lock{mutex_};
    struct stat info {};
    if (fd_ < 0 || ::fstat(fd_, &info) != 0 || info.st_nlink == 0 || info.st_size == 0)
        reopen();
    char byte = 0;
    [[maybe_unused]] const auto size = ::pread(fd_, &byte, 1, 0);
}

// The file has a byte to be read, and its time of access stays what it is, where that is allowed.
void WakeFile::reopen() noexcept {
    if (fd_ >= 0)
        ::close(fd_);
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOATIME, 0666);
    if (fd_ < 0)
        fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);  // another user's
    if (fd_ < 0)
        fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info {};
    if (fd_ >= 0 && ::fstat(fd_, &info) == 0 && info.st_size == 0) {
        [[maybe_unused]] const auto size = ::pwrite(fd_, "\n", 1, 0);
    }
}

/// One epoll descriptor over everything that can end a wait, so that a single asynchronous wait serves any executor.
class WakeListener::Impl {
public:
    Impl(const std::string& database_path, Writers writers)
        : wake_path_(database_path + wake_suffix),
          wal_path_(database_path + wal_suffix),
          wake_name_(std::filesystem::path(wake_path_).filename()),
          wal_name_(std::filesystem::path(wal_path_).filename()),
          watches_wal_(writers == Writers::any),
          epoll_(::epoll_create1(EPOLL_CLOEXEC)),
          committed_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
          interrupted_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
          timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
        if (epoll_.get() < 0 || committed_.get() < 0 || interrupted_.get() < 0 || timer_.get() < 0)
            throw_system_error("waiting for changes of " + database_path);
        add(committed_.get());
        add(interrupted_.get());
        add(timer_.get());
        if (!polls_only(database_path))
            watch(database_path);
    }

    boost::asio::awaitable<Event> wait(std::chrono::nanoseconds timeout) {
        start_timer(timeout);
        Event event = look();
        if (event == Event::timeout && !timer_ended_) {
            const auto executor = co_await boost::asio::this_coro::executor;
            boost::asio::posix::stream_descriptor ready(executor, duplicate());
            do {
                co_await ready.async_wait(boost::asio::posix::stream_descriptor::wait_read, boost::asio::use_awaitable);
                event = look();
            } while (event == Event::timeout && !timer_ended_);
        }
        co_return event;
    }

    void notify() noexcept { raise(committed_.get()); }
    void interrupt() noexcept { raise(interrupted_.get()); }

private:
    static void raise(int fd) noexcept {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto size = ::write(fd, &one, sizeof one);
    }

    void add(int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
            throw_system_error("waiting for changes");
    }

    void watch(const std::string& database_path) {
        inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        // Without it (the user's limit of instances is reached) polling remains.
        if (inotify_.get() < 0)
            return;
        // The directory tells of files that are made (again); what is written to others in it is nobody's business here.
        if (::inotify_add_watch(inotify_.get(), directory_of(database_path).c_str(), IN_CREATE | IN_MOVED_TO) < 0) {
            inotify_.reset();
            return;
        }
        add(inotify_.get());
        watch_wake_file();
        watch_wal();
    }

    void watch_wake_file() noexcept {
        wake_watch_ = ::inotify_add_watch(inotify_.get(), wake_path_.c_str(), IN_ACCESS | IN_CLOSE_WRITE);
    }
    void watch_wal() noexcept {
        if (watches_wal_)
            wal_watch_ = ::inotify_add_watch(inotify_.get(), wal_path_.c_str(), IN_MODIFY);
    }

    void start_timer(std::chrono::nanoseconds timeout) {
        constexpr std::int64_t billion = 1'000'000'000;
        // Zero would disarm it.
        const std::int64_t count = std::max<std::int64_t>(timeout.count(), 1);
        itimerspec spec{};
        spec.it_value.tv_sec = count / billion;
        spec.it_value.tv_nsec = count % billion;
        timer_ended_ = false;
        drain_counter(timer_.get());
        ::timerfd_settime(timer_.get(), 0, &spec, nullptr);
    }

    int duplicate() const {
        const int fd = ::fcntl(epoll_.get(), F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            throw_system_error("waiting for changes");
        return fd;
    }

    // Takes all that has come; `timeout` also when nothing has.
    Event look() noexcept {
        Event event = Event::timeout;
        std::array<epoll_event, 4> events;
        const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
        for (int i = 0; i < count; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (fd == timer_.get()) {
                drain_counter(fd);
                timer_ended_ = true;
            } else if (fd == committed_.get()) {
                drain_counter(fd);
                event = std::max(event, Event::wake_file, less_telling);
            } else if (fd == interrupted_.get()) {
                event = Event::interrupted;  // for good: it is not drained
            } else {
                event = std::max(event, changed_files(), less_telling);
            }
        }
        return event;
    }

    static bool less_telling(Event a, Event b) noexcept {
        const auto rank = [](Event event) {
            switch (event) {
                case Event::timeout: return 0;
                case Event::wal_file: return 1;
                case Event::wake_file: return 2;
                default: return 3;
            }
        };
        return rank(a) < rank(b);
    }

    // One read: what does not fit in it makes the descriptor ready again. A loop would never end beside a busy writer.
    Event changed_files() noexcept {
        Event event = Event::timeout;
        alignas(inotify_event) std::array<char, 16'384> buffer;
        const auto size = ::read(inotify_.get(), buffer.data(), buffer.size());
        for (const char* at = buffer.data(); size > 0 && at < buffer.data() + size;) {
            const auto& change = *reinterpret_cast<const inotify_event*>(at);
            event = std::max(event, meaning_of(change), less_telling);
            at += sizeof(inotify_event) + change.len;
        }
        return event;
    }

    Event meaning_of(const inotify_event& change) noexcept {
        if ((change.mask & IN_Q_OVERFLOW) != 0)
            return Event::wake_file;
        if ((change.mask & IN_IGNORED) != 0)  // the file is gone; the directory tells when there is a new one
            return Event::timeout;
        if (change.wd == wake_watch_)
            return Event::wake_file;
        if (change.wd == wal_watch_)
            return Event::wal_file;
        const std::string_view made = change.len > 0 ? std::string_view(change.name) : std::string_view();
        if (made == wake_name_) {
            watch_wake_file();
            return Event::wake_file;
        }
        if (made == wal_name_ && watches_wal_) {
            watch_wal();
            return Event::wal_file;
        }
        return Event::timeout;
    }

    const std::string wake_path_, wal_path_;
    const std::string wake_name_, wal_name_;
    const bool watches_wal_;
    Descriptor epoll_, committed_, interrupted_, timer_, inotify_;
    int wake_watch_ = -1, wal_watch_ = -1;
    bool timer_ended_ = false;
};

WakeListener::WakeListener(const std::string& database_path, Writers writers)
    : impl_(std::make_unique<Impl>(database_path, writers)) {}
WakeListener::~WakeListener() = default;

boost::asio::awaitable<WakeListener::Event> WakeListener::wait(std::chrono::nanoseconds timeout) {
    return impl_->wait(timeout);
}

void WakeListener::notify() noexcept {
    impl_->notify();
}

void WakeListener::interrupt() noexcept {
    impl_->interrupt();
}

bool polls_only(const std::string& path) noexcept {
    struct statfs info {};
    try {
        if (::statfs(directory_of(path).c_str(), &info) != 0)
            return true;
    } catch (...) {
        return true;
    }
    switch (static_cast<long>(info.f_type) & 0xffffffffL) {
        case NFS_SUPER_MAGIC:
        case SMB_SUPER_MAGIC:
        case cifs_magic:
        case smb2_magic:
        case FUSE_SUPER_MAGIC:
        case V9FS_MAGIC:
        case OVERLAYFS_SUPER_MAGIC: return true;
        default: return false;
    }
}

WalFlusher::WalFlusher(const std::string& database_path) : path_(database_path + wal_suffix) {}

WalFlusher::~WalFlusher() {
    if (fd_ >= 0)
        ::close(fd_);
}

void WalFlusher::reopen() {
    if (fd_ >= 0)
        ::close(fd_);
    fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0 && errno != ENOENT)
        throw_system_error("opening " + path_);
}

void WalFlusher::flush() {
    fault::point("sqlite_wal.flush");
    struct stat there {
    }, opened{};
    const bool is_there = ::stat(path_.c_str(), &there) == 0;
    if (!is_there && errno != ENOENT)
        throw_system_error("looking for " + path_);
    if (fd_ < 0 || !is_there || ::fstat(fd_, &opened) != 0 || opened.st_ino != there.st_ino ||
        opened.st_dev != there.st_dev)
        reopen();
    // Without a WAL everything is in the database file, where the checkpoint that deleted it has flushed it.
    if (fd_ >= 0 && ::fdatasync(fd_) != 0)
        throw Error(Errc::store_unavailable,
                    path_ + " could not be flushed: check the disk (" + std::strerror(errno) + ")");
}

}  // namespace txm::sqlite::detail
