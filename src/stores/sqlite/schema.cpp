#include "schema.hpp"

#include "sqlite/lease.hpp"
#include "txm/error.hpp"

namespace txm::sqlite {

namespace detail {
namespace {

// ISO 8601 in UTC with six digits, as to_iso8601() writes it, so that texts of both compare as times.
constexpr std::string_view now_sql = "(strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000+00:00')";

// A UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, then random bits around version and variant. 'now' is one time
// throughout a statement.
std::string uuid_sql() {
    const std::string ms = "cast(strftime('%s', 'now') || substr(strftime('%f', 'now'), 4) as integer)";
    return "(printf('%08x-%04x-7%03x-%04x-%012x', " + ms + " >> 16, " + ms +
           " & 65535, random() & 4095, 32768 | (random() & 16383), random() & 281474976710655))";
}

// What a message is on the wire, where it is kept whole outside an outbox.
constexpr std::string_view message_columns = R"(
    topic text not null,
    type text,
    aggregate_id text not null,
    correlation_id text,
    payload text not null,
    headers text not null default '{}',
    created_at text,
    stored_at text,
    sequence integer not null default 0,
    partition integer not null default 0,
    position integer not null default 0,
)";

std::string quoted(std::string_view table) {
    check_table_name(table);
    return '"' + std::string(table) + '"';
}

}  // namespace

std::string shared_schema() {
    std::string sql = R"(create table if not exists txm_meta (
    key text primary key not null,
    value text not null
) strict, without rowid;
)";
    sql += "insert or ignore into txm_meta values ('schema_version', '" + std::to_string(schema_version) + "');\n";
    sql += "insert or ignore into txm_meta values ('epoch', '1');\n";
    sql += lease_schema();
    sql += R"(
create table if not exists txm_lane (
    outbox text not null,
    aggregate_id text not null,
    from_sequence integer not null,
    attempts integer not null default 0,
    next_attempt_at text, -- null: held until an operator replays or skips
    decided_at text not null default '', -- when next_attempt_at was written
    reason text not null default '',
    primary key (outbox, aggregate_id)
) strict, without rowid;
create index if not exists txm_lane_due on txm_lane (outbox, next_attempt_at);
create table if not exists txm_parked (
    id integer primary key,
    inbox text not null,
    consumer text not null,
    message_id text not null,)";
    sql += message_columns;
    sql += R"(    attempts integer not null default 0,
    replays integer not null default 0,
    replay integer not null default 0, -- 1: sent again by an operator after it was a dead letter
    unique (inbox, consumer, message_id)
) strict;
create index if not exists txm_parked_order
    on txm_parked (inbox, consumer, topic, aggregate_id, sequence, position, id);
create table if not exists txm_parked_lane (
    inbox text not null,
    consumer text not null,
    topic text not null,
    aggregate_id text not null,
    next_attempt_at text, -- null: held until an operator replays or skips
    reason text not null default '',
    primary key (inbox, consumer, topic, aggregate_id)
) strict, without rowid;
create index if not exists txm_parked_lane_due on txm_parked_lane (inbox, consumer, next_attempt_at);
create table if not exists txm_attempt (
    inbox text not null,
    consumer text not null,
    message_id text not null,
    unfinished integer not null, -- attempts that began and did not end: the process was killed
    began_at text not null,
    primary key (inbox, consumer, message_id)
) strict, without rowid;
create table if not exists txm_dead_letter (
    id integer primary key,
    source text not null, -- outbox:NAME, whose row has the message, or inbox:NAME
    consumer text not null default '',
    message_id text not null,
    reason text not null,
    dead_at text not null default )";
    sql += now_sql;
    sql += R"(,
    attempts integer not null default 0,
    held integer not null default 0, -- 1: its lane waits until an operator replays or skips it
    skipped integer not null default 0, -- 1: an operator gave it up
    topic text,
    type text,
    aggregate_id text,
    correlation_id text,
    payload text,
    headers text,
    created_at text,
    stored_at text,
    sequence integer,
    partition integer,
    position integer,
    unique (source, consumer, message_id)
) strict;
create index if not exists txm_dead_letter_order on txm_dead_letter (source, consumer, sequence, id);
create index if not exists txm_dead_letter_held on txm_dead_letter (source, consumer, aggregate_id) where held = 1;
)";
    return sql;
}

std::string purged_to_key(std::string_view inbox_table, std::string_view consumer) {
    std::string key = "purged_to/";
    key += inbox_table;
    key += '/';
    key += consumer;
    return key;
}

std::string outbox_source(std::string_view table) {
    return "outbox:" + std::string(table);
}

std::string inbox_source(std::string_view table) {
    return "inbox:" + std::string(table);
}

}  // namespace detail

std::string outbox_schema(const std::string& table) {
    const std::string name = detail::quoted(table);
    std::string sql = "create table if not exists " + name + R"( (
    sequence integer primary key autoincrement,
    message_id text not null unique default )";
    sql += detail::uuid_sql();
    sql += R"(,
    topic text not null,
    type text,
    aggregate_id text not null,
    correlation_id text, -- null: the message_id
    payload text not null,
    headers text not null default '{}', -- a JSON object of strings
    created_at text not null default )";
    sql += detail::now_sql;
    sql += ",\n    stored_at text not null default ";
    sql += detail::now_sql;
    sql += R"(,
    state integer not null default 0, -- 0 pending, 1 dispatched, 2 parked, 3 dead
    attempts integer not null default 0,
    replays integer not null default 0,
    approximate_dispatch_count integer not null default 0,
    last_dispatched_at text
) strict;
)";
    sql += "create index if not exists \"" + table + "_pending\" on " + name + " (sequence) where state = 0;\n";
    sql += "create index if not exists \"" + table + "_parked\" on " + name +
           " (aggregate_id, sequence) where state = 2;\n";
    return sql + detail::shared_schema();
}

std::string inbox_schema(const std::string& table) {
    std::string sql = "create table if not exists " + detail::quoted(table) + R"( (
    consumer text not null default '',
    message_id text not null,
    state integer not null default 0, -- 0 processed, 1 dead, 2 skipped
    created_at text not null default )";
    sql += detail::now_sql;
    sql += R"(,
    stored_at text, -- of the message, in its sender's store
    payload_hash integer,
    primary key (consumer, message_id)
) strict, without rowid;
)";
    sql += "create index if not exists \"" + table + "_created\" on " + detail::quoted(table) +
           " (consumer, created_at);\n";
    return sql + detail::shared_schema();
}

}  // namespace txm::sqlite
