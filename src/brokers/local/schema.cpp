#include "brokers/local/schema.hpp"

#include "sqlite/lease.hpp"
#include "txm/error.hpp"

#include <cstdint>
#include <string>

namespace txm::local::detail {
namespace {

// `offset` is never used twice, even when the newest message was deleted: a group's floor would hide its successor.
// The rowid ends every index entry, so an index on (topic) is one on (topic, offset) with a shorter key.
constexpr const char* tables = R"(
create table if not exists broker_meta (
    key text primary key,
    value integer not null
) strict, without rowid;

create table if not exists message (
    offset integer primary key autoincrement,
    topic text not null,
    partition integer not null,
    dedup_id text not null unique,        -- message_id, or message_id#r<k> after k replays
    message_id text generated always as (substr(dedup_id, 1, 36)) virtual,
    aggregate_id text not null,
    correlation_id text,                  -- null: the message_id
    type text not null,
    payload text not null,
    headers text not null,                -- an object of strings
    created_at integer not null,
    stored_at integer not null,
    sequence integer not null,
    epoch integer,                        -- the header of that name
    replays integer not null,
    published_at integer not null         -- by this broker's clock
) strict;
create index if not exists message_topic on message (topic);

create table if not exists consumer_group (
    id integer primary key autoincrement,
    topic text not null,
    name text not null,
    unique (topic, name)
) strict;

create table if not exists group_partition (
    group_id integer not null references consumer_group (id),
    partition integer not null,
    floor integer not null,
    owner integer,                        -- slot of the member that has it
    clean integer not null default 1,     -- 0: deliveries that nobody acknowledged may have been made
    primary key (group_id, partition)
) strict, without rowid;

create table if not exists settled (
    group_id integer not null,
    partition integer not null,
    offset integer not null,
    primary key (group_id, partition, offset)
) strict, without rowid;

create table if not exists group_member (
    group_id integer not null references consumer_group (id),
    slot integer not null,
    primary key (group_id, slot)
) strict, without rowid;

insert into broker_meta values ('schema_version', 1), ('purged_at', 0) on conflict do nothing;
)";

}  // namespace

int partition_of(std::string_view aggregate_id) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : aggregate_id)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return static_cast<int>((hash ^ (hash >> 32)) % partition_count);
}

bool has_schema(Connection& connection) {
    {
        auto query = connection.prepare("select 1 from sqlite_schema where type = 'table' and name = 'broker_meta'");
        if (!query.step())
            return false;
    }
    auto query = connection.prepare("select value from broker_meta where key = 'schema_version'");
    if (!query.step())
        return false;
    const std::int64_t version = query.integer(0);
    if (version > schema_version)
        throw Error(Errc::schema_too_new, "the broker's file was made by a newer txm (its schema is version " +
                                              std::to_string(version) + ", this program knows " +
                                              std::to_string(schema_version) + "): upgrade this program");
    return true;
}

void create_schema(Connection& connection) {
    connection.execute(tables);
    connection.execute(sqlite::detail::lease_schema());
}

std::int64_t end_offset(Connection& connection) {
    auto query = connection.prepare("select max(offset) from message");
    return query.step() && !query.is_null(0) ? query.integer(0) : 0;
}

}  // namespace txm::local::detail
