#pragma once

#include "sqlite/connection.hpp"

#include <string_view>

/// The file of the `local:` broker: an SQLite database of its own, WAL, with these tables (version 1).
///
/// | table | a row is |
/// |---|---|
/// | `broker_meta` | `schema_version`; `purged_at`: when old messages were last looked for |
/// | `message` | a message of a topic, `offset` in the order of publishing; times in microseconds since 1970, UTC |
/// | `consumer_group` | a group's subscription to one topic |
/// | `group_partition` | a sixteenth of a topic's aggregates, for one group: all of it up to `floor` is settled |
/// | `settled` | a message above its partition's floor that is settled |
/// | `group_member` | a live member (a slot, whose lease is `group:<name>:member:<slot>`) and a topic it subscribed to |
///
/// That a message is settled never becomes untrue, and no message is inserted below one that can be seen. So floors
/// only grow, whoever writes them, and a member that lost its partitions long ago can still acknowledge.
namespace txm::local::detail {

using sqlite::detail::Connection;

inline constexpr int partition_count = 16;
inline constexpr int schema_version = 1;

/// The partition of an aggregate, part of the file's format: FNV-1a of its bytes in 64 bits, the upper half folded onto the
/// lower by exclusive or, modulo 16. It spreads aggregates over processes, no more: a lane is still one aggregate.
int partition_of(std::string_view aggregate_id) noexcept;

/// False when the tables are not there (yet). @throws Error(schema_too_new)
bool has_schema(Connection& connection);

/// Makes the tables in the open transaction, if they are missing.
void create_schema(Connection& connection);

/// The offset of the newest message; 0 when there is none.
std::int64_t end_offset(Connection& connection);

}  // namespace txm::local::detail
