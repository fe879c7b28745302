#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/lease_member.hpp"
#include "txm/feed.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace txm::dynamodb::detail {

/// Milliseconds of CLOCK_BOOTTIME: no wall clock that jumps, and it counts while the machine sleeps.
std::int64_t boottime_ms() noexcept;

/// Whether a lease that was not given back was not renewed for so long that its holder must be gone, however wrong the clocks
/// of two machines are within a minute. It is what an operator is told; nobody takes a lease because of it.
bool is_expired(const Item& item, Timestamp time);

/// The lease of an outbox, or of something else: one item of `<outbox>-txm`. No clock of two machines is compared: who wants it takes it when its
/// holder gave it back, or is known to be gone, or has not renewed it for a full term on the own clock of who wants it.
/// *Thread safety*: one coroutine at a time takes, renews and releases; the rest from any thread.
class Lease {
public:
    Lease(DatabaseImpl& db, std::string state_table, std::string outbox_table, std::chrono::milliseconds term);
    /// Of something else. @param lost what has happened when another has it
    Lease(DatabaseImpl& db, std::string state_table, Item key, std::string lost, std::chrono::milliseconds term);

    /// Looks once whether it can be had, and takes it.
    boost::asio::awaitable<std::optional<Fence>> try_take();
    /// @throws FenceLostError when another has it
    boost::asio::awaitable<void> renew();
    boost::asio::awaitable<void> release();

    /// False from two thirds of the term after the last renewal was begun: stop sending.
    bool may_send() const noexcept;
    bool is_held() const noexcept { return is_held_; }
    /// When it should be renewed.
    std::chrono::milliseconds until_renewal() const noexcept;

    /// The element of a transaction that lets it be written under the lease only, and its renewal at the same time.
    std::string check_element() const;
    std::string renewal_element() const;
    /// A renewal that was begun at `began` was written.
    void renewed(std::int64_t began) noexcept { renewed_ = began; }
    [[noreturn]] void lost();

private:
    std::string renewal_update() const;
    boost::asio::awaitable<bool> write(std::string body) const;
    bool is_over(const Item& item, std::int64_t began);

    DatabaseImpl& db_;
    const std::string table_;
    const Item key_;
    const std::string lost_;
    const std::int64_t term_;
    const LeaseMember member_;
    std::atomic<bool> is_held_{false};
    std::atomic<std::int64_t> renewed_{0};
    std::atomic<std::int64_t> fence_{0};

    // What was seen of another holder, and since when.
    std::int64_t seen_fence_ = 0, seen_version_ = 0, seen_at_ = 0;
    // An attempt to take it whose outcome is not known.
    std::optional<Fence> unanswered_;
};

}  // namespace txm::dynamodb::detail
