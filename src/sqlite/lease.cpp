#include "sqlite/lease.hpp"

#include "core/fault_point.hpp"
#include "txm/error.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <utility>

namespace txm::sqlite::detail {
namespace {

std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

std::string member_name() {
    char host[256] = {};
    ::gethostname(host, sizeof host - 1);
    return std::string(host) + " process " + std::to_string(::getpid());
}

/// One byte of the lock file. The lock is of the open file, not of the process, so that two leases of one process exclude
/// each other too, and the kernel gives it back when the process ends, however it ends.
class LockByte {
public:
    explicit LockByte(std::string path) : path_(std::move(path)) {}
    LockByte(const LockByte&) = delete;
    LockByte& operator=(const LockByte&) = delete;
    ~LockByte() { release(); }

    bool acquire(std::int64_t offset) {
        if (is_held_)
            return true;
        if (fd_ < 0)
            fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (fd_ < 0)
            throw Error(Errc::store_unavailable, path_ + " cannot be opened: check the permissions of its directory (" +
                                                     std::strerror(errno) + ")");
        struct flock lock {};
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = offset;
        lock.l_len = 1;
        if (::fcntl(fd_, F_OFD_SETLK, &lock) == 0)
            return is_held_ = true;
        if (errno != EAGAIN && errno != EACCES)
            throw Error(
                Errc::store_unavailable,
                path_ + " cannot be locked: check that its file system supports locks (" + std::strerror(errno) + ")");
        return false;
    }

    void release() noexcept {
        if (fd_ >= 0)
            ::close(fd_);
        fd_ = -1;
        is_held_ = false;
    }

    bool is_held() const noexcept { return is_held_; }

private:
    std::string path_;
    int fd_ = -1;
    bool is_held_ = false;
};

/// What txm_lease says.
struct LeaseRow {
    std::int64_t fence = 0;
    bool holds_byte = false;
    bool is_released = true;
    bool is_of_this_boot = true;
    std::int64_t expires_ms = 0;
};

}  // namespace

std::int64_t boottime_ms() noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000 + time.tv_nsec / 1'000'000;
}

class Lease::Impl {
public:
    Impl(Writer& writer, const std::string& database_path, std::string name, std::chrono::milliseconds term)
        : writer_(writer), name_(std::move(name)), term_(term.count()), byte_(database_path + "-txm-lock") {}

    boost::asio::awaitable<std::optional<Fence>> take() {
        const std::int64_t began = boottime_ms();
        if (is_held_ && began - renewed_ < term_ / 3)
            co_return fence_;
        fault::point(is_held_ ? "sqlite_lease.renew" : "sqlite_lease.take");
        if (row_id_ == 0) {
            const auto find = [this](Connection& connection) { return find_row(connection); };
            row_id_ = co_await writer_.transact_quietly(find);
        }
        // Held without the byte: a frozen holder, whose lease ran out, may have let it go meanwhile.
        const bool has_byte = byte_.acquire(row_id_);
        const bool was_held = is_held_;
        bool taken = false;
        std::exception_ptr failure;
        try {
            if (was_held) {
                const auto renew = [this, began, has_byte](Connection& c) { return write_renewal(c, began, has_byte); };
                taken = co_await writer_.transact_quietly(renew);
            } else {
                const auto seize = [this, began, has_byte](Connection& c) { return write_taking(c, began, has_byte); };
                const std::optional<Fence> fence = co_await writer_.transact_quietly(seize);
                taken = fence.has_value();
                if (taken)
                    fence_ = *fence;
            }
        } catch (...) {
            failure = std::current_exception();
        }
        if (failure) {
            if (!was_held)
                byte_.release();  // the row does not say that it is ours
            std::rethrow_exception(failure);
        }
        is_held_ = taken;
        if (!taken) {
            byte_.release();
            co_return std::nullopt;
        }
        renewed_ = began;
        co_return fence_;
    }

    boost::asio::awaitable<void> release() {
        if (!is_held_)
            co_return;
        fault::point("sqlite_lease.release");
        is_held_ = false;
        const auto free = [this](Connection& connection) {
            connection.prepare("update txm_lease set released = 1, holds_byte = 0 where name = ? and fence = ?")
                .bind(1, name_)
                .bind(2, fence_.value)
                .run();
        };
        std::exception_ptr failure;
        try {
            co_await writer_.transact(free);
        } catch (...) {
            failure = std::current_exception();
        }
        byte_.release();
        if (failure)
            std::rethrow_exception(failure);
    }

    bool may_send() const noexcept { return is_held_ && boottime_ms() - renewed_ < term_ * 2 / 3; }

    bool is_held() const noexcept { return is_held_; }

    const Fence& fence() const noexcept { return fence_; }

    std::chrono::milliseconds until_renewal() const noexcept {
        if (!is_held_)
            return std::chrono::milliseconds(0);
        return std::chrono::milliseconds(std::max<std::int64_t>(renewed_ + term_ / 3 - boottime_ms(), 0));
    }

    void check(Connection& connection) {
        auto row = connection.prepare("select 1 from txm_lease where name = ? and fence = ? and released = 0");
        row.bind(1, name_).bind(2, fence_.value);
        if (is_held_ && row.step())
            return;
        is_held_ = false;  // take() must not believe what it remembers
        throw FenceLostError("the lease " + name_ + " has another owner now; nothing was written under it");
    }

private:
    std::int64_t find_row(Connection& connection) const {
        connection.prepare("insert or ignore into txm_lease (name) values (?)").bind(1, name_).run();
        auto row = connection.prepare("select id from txm_lease where name = ?");
        row.bind(1, name_).step();
        return row.integer(0);
    }

    LeaseRow read(Connection& connection) const {
        auto row =
            connection.prepare("select fence, holds_byte, released, boot_id, expires_ms from txm_lease where name = ?");
        LeaseRow lease;
        if (row.bind(1, name_).step()) {
            lease.fence = row.integer(0);
            lease.holds_byte = row.integer(1) != 0;
            lease.is_released = row.integer(2) != 0;
            lease.is_of_this_boot = row.text(3) == boot_id_;
            lease.expires_ms = row.integer(4);
        }
        return lease;
    }

    std::optional<Fence> write_taking(Connection& connection, std::int64_t began, bool has_byte) const {
        const LeaseRow lease = read(connection);
        const bool holder_is_gone = has_byte && lease.holds_byte;
        const bool is_over = !lease.is_of_this_boot || began >= lease.expires_ms;
        if (!lease.is_released && !holder_is_gone && !is_over)
            return std::nullopt;
        Fence fence;
        fence.value = lease.fence + 1;
        fence.clean_start = lease.is_released;
        connection
            .prepare(
                "update txm_lease set fence = ?, member = ?, holds_byte = ?, boot_id = ?, expires_ms = ?, released = 0"
                " where name = ?")
            .bind(1, fence.value)
            .bind(2, member_)
            .bind(3, std::int64_t{has_byte})
            .bind(4, boot_id_)
            .bind(5, began + term_)
            .bind(6, name_)
            .run();
        return fence;
    }

    bool write_renewal(Connection& connection, std::int64_t began, bool has_byte) const {
        return connection
                   .prepare(
                       "update txm_lease set expires_ms = ?, holds_byte = ? where name = ? and fence = ? and released "
                       "= 0")
                   .bind(1, began + term_)
                   .bind(2, std::int64_t{has_byte})
                   .bind(3, name_)
                   .bind(4, fence_.value)
                   .run() == 1;
    }

    Writer& writer_;
    const std::string name_;
    const std::int64_t term_;
    const std::string member_ = member_name();
    const std::string boot_id_ = boot_id();
    LockByte byte_;
    std::int64_t row_id_ = 0;
    std::atomic<bool> is_held_{false};      // check() asks on the writer's thread
    std::atomic<std::int64_t> renewed_{0};  // may_send() is asked from anywhere
    Fence fence_;
};

Lease::Lease(Writer& writer, const std::string& database_path, std::string name, std::chrono::milliseconds term)
    : impl_(std::make_unique<Impl>(writer, database_path, std::move(name), term)) {}

Lease::~Lease() = default;

boost::asio::awaitable<std::optional<Fence>> Lease::take() {
    return impl_->take();
}

boost::asio::awaitable<void> Lease::release() {
    return impl_->release();
}

bool Lease::may_send() const noexcept {
    return impl_->may_send();
}

bool Lease::is_held() const noexcept {
    return impl_->is_held();
}

const Fence& Lease::fence() const noexcept {
    return impl_->fence();
}

std::chrono::milliseconds Lease::until_renewal() const noexcept {
    return impl_->until_renewal();
}

void Lease::check(Connection& connection) const {
    impl_->check(connection);
}

const char* lease_schema() noexcept {
    return R"(create table if not exists txm_lease (
    id integer primary key, -- also the byte of the lock file that its holder locks
    name text not null unique,
    fence integer not null default 0, -- grows with every owner; names the owner in what it writes
    member text not null default '',
    holds_byte integer not null default 0,
    boot_id text not null default '',
    expires_ms integer not null default 0, -- of CLOCK_BOOTTIME
    released integer not null default 1
) strict;)";
}

}  // namespace txm::sqlite::detail
