#pragma once

#include "brokers/local/acknowledger.hpp"
#include "brokers/local/partitions.hpp"
#include "brokers/local/share_out.hpp"
#include "sqlite/lease.hpp"
#include "sqlite/readers.hpp"
#include "sqlite/writer.hpp"
#include "txm/local.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace txm::local::detail {

/// The broker's file, open for a member of a group. Acknowledgements are not flushed one by one: one that a power cut takes back
/// is a redelivery, and whatever a publisher flushes later flushes them too.
struct MemberFile {
    MemberFile(const std::string& path, const sqlite::DatabaseOptions& options);

    sqlite::detail::Writer writer;
    sqlite::detail::Readers readers;
    Connection view;  ///< the membership's own
};

/// What a member needs to read and acknowledge.
struct Joined {
    std::shared_ptr<MemberFile> file;        ///< null before the group was joined
    std::shared_ptr<const GroupIds> groups;  ///< of the topics, in their order
};

/// A subscription's place in its group: a slot with a lease, and its share of the partitions of each topic.
///
/// It lives on a thread of its own, so that a member whose handlers are slow stays a member. Each member looks after the
/// others: one whose lease can be had is dead or frozen, and its partitions are free. One that has more than
/// its share stops delivering from some, and gives them back when what it delivered is acknowledged, or after five seconds.
/// None of this decides what is correct: a frozen member that wakes up can still deliver and acknowledge, and a
/// lane's next effect still waits for the one before it. It decides who works, and keeps duplicates few.
/// *Thread safety*: any thread.
class Membership {
public:
    /// @param changed called when there may be something new to receive, or an error
    Membership(std::string path, SubscriptionOptions options, std::shared_ptr<Partitions> partitions,
               std::function<void()> changed);
    ~Membership();  ///< leaves the group: its partitions are free at once

    /// Looks at once, rather than at the next interval.
    void kick() noexcept;

    Joined joined() const;

    /// False when the lease was not renewed for too long, as in a process that was frozen.
    bool may_deliver() const noexcept;

    /// What went wrong since the last call; it is being tried again.
    std::exception_ptr take_error();

private:
    using Clock = std::chrono::steady_clock;

    void run() noexcept;
    void look();
    bool open();
    bool hold_slot();
    bool take_slot();
    void enter();
    void bury_the_dead();
    void share();
    void take(const std::vector<PartitionKey>& keys);
    void give_back();
    void write_all_floors();
    void leave() noexcept;
    void drop_file(std::exception_ptr error);

    std::vector<int> members_of(std::size_t topic);
    Owners owners_of(std::size_t topic);
    std::string lease_name(int slot) const;
    void free_slot(Connection& connection, int slot) const;

    const std::string path_;
    const SubscriptionOptions options_;
    const std::shared_ptr<Partitions> partitions_;
    const std::function<void()> changed_;

    // Of the thread alone.
    std::shared_ptr<MemberFile> file_;
    std::shared_ptr<const GroupIds> groups_;
    std::unique_ptr<sqlite::detail::Lease> lease_;
    std::int64_t fence_ = 0;
    int slot_ = -1;
    std::map<int, std::unique_ptr<sqlite::detail::Lease>> others_;
    std::map<std::pair<std::size_t, int>, Clock::time_point> giving_back_;  ///< and until when to wait

    std::atomic<std::int64_t> deliver_until_{0};  ///< CLOCK_BOOTTIME, milliseconds
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    bool kicked_ = false;
    Joined joined_;
    std::exception_ptr error_;
    std::thread thread_;
};

}  // namespace txm::local::detail
