#pragma once

#include "sqlite/writer.hpp"
#include "txm/feed.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace txm::sqlite::detail {

/// Milliseconds of CLOCK_BOOTTIME: no wall clock that jumps, and it counts while the machine sleeps.
std::int64_t boottime_ms() noexcept;

/// A lease on one machine: an OFD lock on a byte of `<db>-txm-lock`, which the kernel frees when its holder is killed, and a
/// row of `txm_lease` (name, fence, member, holds_byte, boot id, expires in CLOCK_BOOTTIME). Who gets the byte and sees
/// that the row's holder had it takes over at once; a holder that is frozen is replaced after its term.
/// Its table: lease_schema(). The byte's offset is the row's rowid, so that no two leases share one.
/// *Thread safety*: one coroutine or thread at a time.
class Lease {
public:
    Lease(Writer& writer, const std::string& database_path, std::string name, std::chrono::milliseconds term);
    ~Lease();  ///< frees the byte; the row stays: the next owner sees no clean end
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    /// Takes it when it is free, renews it when it is ours and a third of the term is over (else does nothing), gives nothing
    /// while another holds it.
    boost::asio::awaitable<std::optional<Fence>> take();
    /// Gives it back: the row says so, the byte is free.
    boost::asio::awaitable<void> release();

    /// False from two thirds of the term after the last renewal was begun: stop sending.
    bool may_send() const noexcept;
    bool is_held() const noexcept;
    const Fence& fence() const noexcept;
    /// When take() should be called again.
    std::chrono::milliseconds until_renewal() const noexcept;

    /// In a transaction of `connection`: throws FenceLostError unless the row still has our fence; then it is not held any more.
    void check(Connection& connection) const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// `create table if not exists txm_lease …`
const char* lease_schema() noexcept;

}  // namespace txm::sqlite::detail
