#include "stores/sqlite/admin_status.hpp"

#include "core/status_warnings.hpp"
#include "sqlite/lease.hpp"
#include "stores/sqlite/schema.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <fstream>

namespace txm::sqlite::detail {
namespace {

/// Looks which bytes of `<db>-txm-lock` are locked, without locking any.
class LockFile {
public:
    explicit LockFile(const std::string& path) : fd_(::open((path + "-txm-lock").c_str(), O_RDONLY | O_CLOEXEC)) {}
    LockFile(const LockFile&) = delete;
    LockFile& operator=(const LockFile&) = delete;
    ~LockFile() {
        if (fd_ >= 0)
            ::close(fd_);
    }
    bool is_locked(std::int64_t byte) const {
        struct flock lock {};
        lock.l_type = F_RDLCK;
        lock.l_whence = SEEK_SET;
        lock.l_start = byte;
        lock.l_len = 1;
        return fd_ >= 0 && ::fcntl(fd_, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    }

private:
    int fd_;
};

std::uint64_t count(Query query) {
    return query.step() ? static_cast<std::uint64_t>(query.integer(0)) : 0;
}

void read_outbox(Connection& connection, const std::string& table, StoreStatus& status) {
    const std::string name = "\"" + table + "\"";
    status.pending = count(connection.prepare("select count(*) from " + name + " where state = 0"));
    status.parked = count(connection.prepare("select count(*) from " + name + " where state = 2"));
    {
        const std::string source = outbox_source(table);
        Query query = connection.prepare(
            "select count(*) from txm_dead_letter where source = ?1 and consumer = '' and skipped = 0");
        query.bind(1, source).step();
        status.dead = static_cast<std::uint64_t>(query.integer(0));
    }
    {
        Query query =
            // One that an operator has freed ends when a relay comes by.
            connection.prepare(
                "select count(*), count(*) - count(next_attempt_at) from txm_lane l where outbox = ?1 and "
                "(next_attempt_at is null or exists (select 1 from " +
                name + " o where o.state = 2 and o.aggregate_id = l.aggregate_id))");
        query.bind(1, table).step();
        status.lanes_blocked = static_cast<std::uint64_t>(query.integer(0));
        status.lanes_held = static_cast<std::uint64_t>(query.integer(1));
    }
    // The lowest sequence is the oldest message: no need to look at every time.
    Query query =
        connection.prepare("select stored_at from " + name + " where sequence in ((select min(sequence) from " + name +
                           " where state = 0), (select min(sequence) from " + name + " where state = 2))");
    while (query.step()) {
        const auto stored_at = try_parse_iso8601(query.text(0));
        if (!stored_at)
            continue;
        const auto age =
            std::max(std::chrono::seconds{0}, std::chrono::floor<std::chrono::seconds>(now() - *stored_at));
        status.oldest_pending_age = std::max(age, status.oldest_pending_age.value_or(age));
    }
}

void read_leases(Connection& connection, const std::string& path, StoreStatus& status) {
    const LockFile file{path};
    std::string boot_id;
    std::ifstream{"/proc/sys/kernel/random/boot_id"} >> boot_id;
    Query query = connection.prepare(
        "select name, member, fence, id, holds_byte, boot_id, expires_ms, released from txm_lease order by name");
    while (query.step()) {
        LeaseStatus lease{std::string(query.text(0)), std::string(query.text(1)), query.integer(2), false};
        const bool is_current = query.text(5) == boot_id && query.integer(6) > boottime_ms();
        lease.is_held =
            query.integer(7) == 0 && (query.integer(4) != 0 ? file.is_locked(query.integer(3)) : is_current);
        status.leases.push_back(std::move(lease));
    }
}

void read_inboxes(Connection& connection, const std::string& inbox, StoreStatus& status) {
    const auto of = [&](std::string_view consumer) -> InboxStatus& {
        const auto known = std::ranges::find(status.inboxes, consumer, &InboxStatus::consumer);
        if (known != status.inboxes.end())
            return *known;
        status.inboxes.emplace_back().consumer = consumer;
        return status.inboxes.back();
    };
    {
        Query query =
            connection.prepare("select consumer, state, count(*) from \"" + inbox + "\" group by consumer, state");
        while (query.step()) {
            const auto number = static_cast<std::uint64_t>(query.integer(2));
            InboxStatus& of_consumer = of(query.text(0));
            (query.integer(1) == 0   ? of_consumer.processed
             : query.integer(1) == 1 ? of_consumer.dead
                                     : of_consumer.skipped) = number;
        }
    }
    {
        Query query =
            connection.prepare("select consumer, count(*) from txm_parked where inbox = ?1 group by consumer");
        query.bind(1, inbox);
        while (query.step())
            of(query.text(0)).parked = static_cast<std::uint64_t>(query.integer(1));
    }
    {
        Query query =
            connection.prepare("select consumer, count(*) from txm_parked_lane where inbox = ?1 group by consumer");
        query.bind(1, inbox);
        while (query.step())
            of(query.text(0)).lanes_blocked = static_cast<std::uint64_t>(query.integer(1));
    }
    for (InboxStatus& of_consumer : status.inboxes) {
        const std::string key = purged_to_key(inbox, of_consumer.consumer);
        Query query = connection.prepare("select value from txm_meta where key = ?1");
        if (query.bind(1, key).step())
            of_consumer.purged_to = try_parse_iso8601(query.text(0));
    }
}

}  // namespace

StoreStatus read_status(Connection& connection, const std::string& path, const std::string& outbox,
                        const std::string& inbox) {
    StoreStatus status;
    check_schema(connection, path);
    {
        Query query = connection.prepare("select value from txm_meta where key = 'schema_version'");
        if (query.step()) {
            const std::string_view text = query.text(0);
            std::from_chars(text.data(), text.data() + text.size(), status.schema_version);
        }
    }
    const auto has_table = [&](const std::string& table) {
        return connection.prepare("select 1 from sqlite_schema where name = ?1 and type = 'table'")
            .bind(1, table)
            .step();
    };
    if (has_table(outbox))
        read_outbox(connection, outbox, status);
    read_leases(connection, path, status);
    if (has_table(inbox))
        read_inboxes(connection, inbox, status);
    txm::detail::add_warnings(status, outbox_source(outbox));
    return status;
}

}  // namespace txm::sqlite::detail
