#include "brokers/local/membership.hpp"

#include "brokers/local/unavailable.hpp"
#include "core/fault_point.hpp"
#include "txm/error.hpp"
#include "txm/sync_wait.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace txm::local::detail {
namespace {

using sqlite::detail::Lease;

constexpr std::chrono::seconds give_back_deadline{5};

sqlite::DatabaseOptions file_options(const SubscriptionOptions& options) {
    sqlite::DatabaseOptions result;
    result.synchronous = sqlite::Synchronous::normal;
    result.busy_timeout = options.busy_timeout;
    result.create = false;
    return result;
}

}  // namespace

MemberFile::MemberFile(const std::string& path, const sqlite::DatabaseOptions& options)
    : writer(path, options, [] {}), readers(path, options), view(path, Connection::Mode::read_only, options) {}

Membership::Membership(std::string path, SubscriptionOptions options, std::shared_ptr<Partitions> partitions,
                       std::function<void()> changed)
    : path_(std::move(path)),
      options_(std::move(options)),
      partitions_(std::move(partitions)),
      changed_(std::move(changed)),
      thread_([this] { run(); }) {}

Membership::~Membership() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
    // Ends what is queued in the writer, which may call back.
    joined_ = {};
    file_ = nullptr;
}

void Membership::kick() noexcept {
    {
        const std::lock_guard lock(mutex_);
        kicked_ = true;
    }
    wake_.notify_one();
}

Joined Membership::joined() const {
    const std::lock_guard lock(mutex_);
    return joined_;
}

bool Membership::may_deliver() const noexcept {
    return sqlite::detail::boottime_ms() < deliver_until_.load(std::memory_order_relaxed);
}

std::exception_ptr Membership::take_error() {
    const std::lock_guard lock(mutex_);
    return std::exchange(error_, nullptr);
}

void Membership::run() noexcept {
    for (;;) {
        try {
            look();
        } catch (...) {
            drop_file(std::current_exception());
        }
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, options_.poll_interval, [this] { return stopping_ || kicked_; });
        kicked_ = false;
        if (stopping_)
            break;
    }
    leave();
}

void Membership::look() {
    if (!file_ && !open())
        return;
    if (!hold_slot())
        return;
    bury_the_dead();
    share();
    give_back();
}

bool Membership::open() {
    if (!std::filesystem::exists(path_))
        return false;
    auto file = std::make_shared<MemberFile>(path_, file_options(options_));
    // A publisher that is just making the file: wait for its tables.
    if (!has_schema(file->view))
        return false;
    file_ = std::move(file);
    return true;
}

/// Takes a slot, or renews its lease; false while there is none to be had.
bool Membership::hold_slot() {
    if (lease_) {
        const bool is_due = lease_->until_renewal() <= std::chrono::milliseconds{0};
        const std::int64_t begun = sqlite::detail::boottime_ms();
        const auto fence = sync_wait(lease_->take());
        if (fence && fence->value == fence_) {
            if (is_due) {
                deliver_until_ = begun + options_.lease_term.count() * 2 / 3;
                write_all_floors();
            }
            return true;
        }
        // We were thought dead: others may have our partitions. What is in flight can still be acknowledged.
        partitions_->close_all();
        giving_back_.clear();
        lease_.reset();
    }
    return take_slot();
}

bool Membership::take_slot() {
    // More members than partitions would have nothing to do: they wait for a slot.
    for (int slot = 0; slot < partition_count; ++slot) {
        auto lease = std::make_unique<Lease>(file_->writer, path_, lease_name(slot), options_.lease_term);
        const std::int64_t begun = sqlite::detail::boottime_ms();
        const auto fence = sync_wait(lease->take());
        if (!fence)
            continue;
        lease_ = std::move(lease);
        fence_ = fence->value;
        slot_ = slot;
        others_.erase(slot);
        enter();
        deliver_until_ = begun + options_.lease_term.count() * 2 / 3;
        return true;
    }
    return false;
}

/// Makes the groups that are missing, and a member of this slot.
void Membership::enter() {
    const auto& topics = partitions_->topics();
    GroupIds ids = file_->writer.transact_now([&](Connection& connection) {
        lease_->check(connection);
        free_slot(connection, slot_);  // whoever had it before and was killed
        GroupIds result;
        for (const std::string& topic : topics) {
            auto insert =
                connection.prepare("insert into consumer_group (topic, name) values (?, ?) on conflict do nothing");
            const bool is_new =
                insert.bind(1, std::string_view{topic}).bind(2, std::string_view{options_.group}).run() == 1;
            auto select = connection.prepare("select id from consumer_group where topic = ? and name = ?");
            select.bind(1, std::string_view{topic}).bind(2, std::string_view{options_.group}).step();
            const std::int64_t id = select.integer(0);
            result.push_back(id);
            if (is_new) {
                const Offset start = options_.from_end ? end_offset(connection) : 0;
                auto partition =
                    connection.prepare("insert into group_partition (group_id, partition, floor) values (?, ?, ?)");
                for (std::int64_t p = 0; p < partition_count; ++p) {
                    partition.bind(1, id).bind(2, p).bind(3, start).run();
                    partition.reset();
                }
            }
            auto member = connection.prepare("insert into group_member values (?, ?) on conflict do nothing");
            member.bind(1, id).bind(2, std::int64_t{slot_}).run();
        }
        fault::point("local.before_join_commit");
        return result;
    });
    fault::point("local.joined");
    groups_ = std::make_shared<const GroupIds>(std::move(ids));
    const std::lock_guard lock(mutex_);
    joined_ = {file_, groups_};
}

void Membership::bury_the_dead() {
    std::vector<int> slots;
    {
        auto query = file_->view.prepare(
            "select distinct slot from group_member join consumer_group on id = group_id where name = ? and slot <> ?");
        query.bind(1, std::string_view{options_.group}).bind(2, std::int64_t{slot_});
        while (query.step())
            slots.push_back(static_cast<int>(query.integer(0)));
    }
    for (const int slot : slots) {
        auto& lease = others_[slot];
        if (!lease)
            lease = std::make_unique<Lease>(file_->writer, path_, lease_name(slot), options_.lease_term);
        if (!sync_wait(lease->take()))
            continue;
        file_->writer.transact_now([&](Connection& connection) {
            lease->check(connection);
            free_slot(connection, slot);
            fault::point("local.before_bury_commit");
        });
        sync_wait(lease->release());
    }
}

void Membership::share() {
    std::vector<PartitionKey> wanted;
    for (std::size_t topic = 0; topic < partitions_->topics().size(); ++topic) {
        const Changes changes = share_out(slot_, members_of(topic), owners_of(topic));
        for (const int partition : changes.take)
            wanted.push_back({topic, partition});
        for (const int partition : changes.give) {
            const auto [entry, is_new] =
                giving_back_.try_emplace({topic, partition}, Clock::now() + give_back_deadline);
            if (is_new)
                partitions_->stop({topic, partition});
        }
    }
    if (!wanted.empty())
        take(wanted);
}

void Membership::take(const std::vector<PartitionKey>& keys) {
    const auto taken = file_->writer.transact_now([&](Connection& connection) {
        lease_->check(connection);
        std::vector<TakenPartition> result;
        const Offset end = end_offset(connection);
        auto select = connection.prepare(
            "select floor, clean, (select max(offset) from settled s where s.group_id = ?1 and s.partition = ?2) "
            "from group_partition where group_id = ?1 and partition = ?2 and (owner is null or owner not in "
            "(select slot from group_member where group_id = ?1))");
        auto update = connection.prepare(
            "update group_partition set owner = ?3, clean = 0 where group_id = ?1 and partition = ?2");
        for (const PartitionKey& key : keys) {
            const std::int64_t group = (*groups_)[key.topic];
            select.reset();
            if (!select.bind(1, group).bind(2, std::int64_t{key.partition}).step())
                continue;  // another member was quicker
            result.push_back(
                {key, select.integer(0), select.is_null(2) ? 0 : select.integer(2), select.integer(1) == 0 ? end : 0});
            update.bind(1, group).bind(2, std::int64_t{key.partition}).bind(3, std::int64_t{slot_}).run();
            update.reset();
        }
        fault::point("local.before_partition_taken");
        return result;
    });
    fault::point("local.partition_taken");
    for (const TakenPartition& partition : taken)
        partitions_->take(partition);
    if (!taken.empty())
        changed_();
}

void Membership::give_back() {
    struct Returned {
        PartitionKey key;
        bool clean = false;
        Offset floor = 0;
    };
    std::vector<Returned> returned;
    for (const auto& [place, deadline] : giving_back_) {
        const PartitionKey key{place.first, place.second};
        const bool is_clean = partitions_->unacknowledged(key) == 0;
        if (is_clean || Clock::now() >= deadline)
            returned.push_back({key, is_clean, partitions_->floor(key)});
    }
    if (returned.empty())
        return;
    file_->writer.transact_now([&](Connection& connection) {
        lease_->check(connection);
        auto update = connection.prepare(
            "update group_partition set owner = null, clean = ?4, floor = max(floor, ?5) "
            "where group_id = ?1 and partition = ?2 and owner = ?3");
        for (const Returned& r : returned) {
            update.bind(1, (*groups_)[r.key.topic]).bind(2, std::int64_t{r.key.partition});
            update.bind(3, std::int64_t{slot_}).bind(4, std::int64_t{r.clean}).bind(5, r.floor).run();
            update.reset();
        }
        fault::point("local.before_partition_released");
    });
    fault::point("local.partition_released");
    for (const Returned& r : returned) {
        partitions_->close(r.key);
        giving_back_.erase({r.key.topic, r.key.partition});
    }
}

/// A partition without messages has no acknowledgement that would move its floor.
void Membership::write_all_floors() {
    const auto changes = partitions_->acknowledge({}, true);
    if (changes.floors.empty())
        return;
    file_->writer.transact_now([&](Connection& connection) { write_floors(connection, *groups_, changes.floors); });
    partitions_->floors_written(changes.floors);
}

void Membership::leave() noexcept {
    if (!file_ || !lease_)
        return;
    try {
        for (std::size_t topic = 0; topic < partitions_->topics().size(); ++topic)
            for (int partition = 0; partition < partition_count; ++partition)
                if (partitions_->is_ours({topic, partition})) {
                    partitions_->stop({topic, partition});
                    giving_back_[{topic, partition}] = Clock::time_point::min();
                }
        give_back();
        file_->writer.transact_now([&](Connection& connection) {
            lease_->check(connection);
            free_slot(connection, slot_);
        });
        sync_wait(lease_->release());
    } catch (...) {
        // The others find out: the lease's byte is free when this process or this object ends.
    }
}

void Membership::drop_file(std::exception_ptr error) {
    partitions_->close_all();
    giving_back_.clear();
    others_.clear();
    lease_.reset();
    deliver_until_ = 0;
    {
        const std::lock_guard lock(mutex_);
        joined_ = {};
        error_ = as_unavailable(path_, error);
    }
    file_ = nullptr;
    changed_();
}

std::vector<int> Membership::members_of(std::size_t topic) {
    std::vector<int> members;
    auto query = file_->view.prepare("select slot from group_member where group_id = ? order by slot");
    query.bind(1, (*groups_)[topic]);
    while (query.step())
        members.push_back(static_cast<int>(query.integer(0)));
    return members;
}

Owners Membership::owners_of(std::size_t topic) {
    Owners owners;
    auto query =
        file_->view.prepare("select partition, owner from group_partition where group_id = ? and owner is not null");
    query.bind(1, (*groups_)[topic]);
    while (query.step())
        owners.at(static_cast<std::size_t>(query.integer(0))) = static_cast<int>(query.integer(1));
    return owners;
}

std::string Membership::lease_name(int slot) const {
    return "group:" + options_.group + ":member:" + std::to_string(slot);
}

void Membership::free_slot(Connection& connection, int slot) const {
    for (const char* sql :
         {"update group_partition set owner = null where owner = ?2 and group_id in "
          "(select id from consumer_group where name = ?1)",
          "delete from group_member where slot = ?2 and group_id in (select id from consumer_group where name = ?1)"}) {
        auto query = connection.prepare(sql);
        query.bind(1, std::string_view{options_.group}).bind(2, std::int64_t{slot}).run();
    }
}

}  // namespace txm::local::detail
