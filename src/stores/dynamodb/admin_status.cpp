#include "stores/dynamodb/admin_status.hpp"

#include "core/status_warnings.hpp"
#include "stores/dynamodb/consumer_store_inbox.hpp"
#include "stores/dynamodb/consumer_store_keys.hpp"
#include "stores/dynamodb/consumer_store_lanes.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/inbox_row.hpp"
#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/lease.hpp"
#include "stores/dynamodb/lease_member.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "stores/dynamodb/table_shape.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <chrono>

namespace txm::dynamodb::detail {
namespace {

// The layout of the tables that this version writes.
constexpr int schema_version = 1;

// What took effect is counted row by row. Beyond that, the number says no more than that there are many.
constexpr std::size_t most_counted = 100'000;

// And beyond that they are not counted again each time that somebody asks, as a monitor does every few seconds.
constexpr std::size_t costs_little = 1'000;
constexpr std::chrono::minutes remembered{10};

Query partition_of(const std::string& table, std::string partition) {
    Item values;
    values.emplace(":partition", std::move(partition));
    return Query{table, "PK = :partition", std::move(values)};
}

std::optional<Timestamp> next_attempt_of(const Item& lane) {
    const std::string* time = text_of(lane, "NextAttemptAt");
    return time ? try_parse_iso8601(*time) : std::nullopt;
}

InboxStatus& of_consumer(std::vector<InboxStatus>& inboxes, std::string_view consumer) {
    const auto known = std::ranges::find(inboxes, consumer, &InboxStatus::consumer);
    if (known != inboxes.end())
        return *known;
    inboxes.emplace_back().consumer = consumer;
    return inboxes.back();
}

}  // namespace

std::optional<std::vector<InboxStatus>> InboxCounts::recent() const {
    const std::lock_guard lock{mutex_};
    if (Clock::now() >= until_)
        return std::nullopt;
    return counts_;
}

void InboxCounts::remember(std::vector<InboxStatus> counts) {
    const std::lock_guard lock{mutex_};
    counts_ = std::move(counts);
    until_ = Clock::now() + remembered;
}

awaitable<StoreStatus> StatusReader::read() {
    StoreStatus status;
    status.schema_version = schema_version;
    co_await check_table(tables_.outbox, true, status);
    co_await check_table(tables_.inbox, false, status);
    co_await read_messages(status);
    co_await read_leases("LEASE", "outbox:" + tables_.outbox, status);
    co_await read_inbox(status);
    std::ranges::sort(status.inboxes, {}, &InboxStatus::consumer);
    for (InboxStatus& inbox : status.inboxes) {
        co_await read_consumer(inbox);
        const ConsumerKeys keys(inbox.consumer, tables_.inbox);
        co_await read_leases(keys.leases(), "inbox:" + tables_.inbox + ":" + inbox.consumer + ":", status);
    }
    txm::detail::add_warnings(status, "outbox:" + tables_.outbox);
    co_return status;
}

awaitable<StoreStatus> StatusReader::read_outbox() {
    StoreStatus status;
    co_await read_messages(status);
    co_return status;
}

awaitable<std::uint64_t> StatusReader::count_undispatched(std::string_view mark) {
    Item values;
    values.emplace(":mark", mark);
    Query query(tables_.outbox, "NotDispatched = :mark", std::move(values));
    query.index = "NotDispatchedMessagesIndex";
    query.consistent = false;
    co_return co_await db_.impl().count_all(std::move(query));
}

awaitable<void> StatusReader::read_messages(StoreStatus& status) {
    co_await read_lanes(status);
    status.pending = co_await count_undispatched(not_dispatched);
    Query letters = partition_of(tables_.state, "DEAD");
    const std::uint64_t all_dead = co_await db_.impl().count_all(letters);
    letters.filter = "attribute_not_exists(Skipped)";
    status.dead = co_await db_.impl().count_all(std::move(letters));
    // Where the rows do not tell, all of them are pending to the index.
    if (tables_.compat)
        status.pending -= std::min(status.pending, status.parked + all_dead);
    co_await read_age(not_dispatched, status);
    co_await read_age(not_dispatched_parked, status);
}

// The index is by the time that the sender gave, which is near enough to that of the store to find an old one.
awaitable<void> StatusReader::read_age(std::string_view mark, StoreStatus& status) {
    if (status.pending + status.parked == 0)
        co_return;
    Item values;
    values.emplace(":mark", mark);
    Query query(tables_.outbox, "NotDispatched = :mark", std::move(values));
    query.index = "NotDispatchedMessagesIndex";
    query.consistent = false;
    query.limit = 1;
    const Page page = co_await db_.impl().read_page(query, Item{});
    for (const Item& row : page.items) {
        const std::string* time = text_of(row, "StoredAt");
        if (!time)
            time = text_of(row, "CreatedAt");
        const std::optional<Timestamp> stored_at = time ? try_parse_iso8601(*time) : std::nullopt;
        if (!stored_at)
            continue;
        const auto age =
            std::max(std::chrono::seconds{0}, std::chrono::floor<std::chrono::seconds>(now() - *stored_at));
        status.oldest_pending_age = std::max(age, status.oldest_pending_age.value_or(age));
    }
}

// A lane that an operator has freed ends when a relay comes by: one that is due and has nothing that waits is none.
awaitable<void> StatusReader::read_lanes(StoreStatus& status) {
    if (!tables_.compat)
        status.parked = co_await count_undispatched(not_dispatched_parked);
    const Query query = partition_of(tables_.state, "LANE");
    Item start;
    do {
        const Page page = co_await db_.impl().read_page(query, start);
        for (const Item& lane : page.items) {
            const std::optional<Timestamp> next = next_attempt_of(lane);
            std::uint64_t parked = 1;
            if (tables_.compat || (next && *next <= now()))
                parked = co_await db_.impl().count_all(partition_of(tables_.state, "PARKED#" + lane.at("SK").text()));
            if (tables_.compat)
                status.parked += parked;
            status.lanes_held += next ? 0 : 1;
            status.lanes_blocked += !next || parked > 0 ? 1 : 0;
        }
        start = page.last_key;
    } while (!start.empty());
}

awaitable<void> StatusReader::read_leases(std::string partition, std::string prefix, StoreStatus& status) {
    const std::vector<Item> items = co_await db_.impl().read_all(partition_of(tables_.state, std::move(partition)));
    for (const Item& item : items) {
        LeaseStatus lease;
        lease.name = prefix;
        if (lease.name.ends_with(':'))
            lease.name += item.at("SK").text();
        if (const std::string* member = text_of(item, "Member"))
            lease.member = *member;
        lease.fence = integer_of(item, "Fence");
        lease.is_held = !boolean_of(item, "Released") && !is_gone(lease.member) && !is_expired(item, now());
        status.leases.push_back(std::move(lease));
    }
}

awaitable<void> StatusReader::read_inbox(StoreStatus& status) {
    const std::vector<Item> registered =
        co_await db_.impl().read_all(partition_of(tables_.state, ConsumerKeys::consumers(tables_.inbox)));
    for (const Item& row : registered) {
        InboxStatus& inbox = of_consumer(status.inboxes, row.at("Consumer").text());
        if (const std::int64_t retention = integer_of(row, "Retention"); retention > 0)
            inbox.purged_to = window_start(std::chrono::seconds{retention}, now());
    }
    std::optional<std::vector<InboxStatus>> counted = counts_->recent();
    if (!counted)
        counted = co_await count_inbox();
    for (const InboxStatus& count : *counted) {
        InboxStatus& inbox = of_consumer(status.inboxes, count.consumer);
        inbox.processed = count.processed;
        inbox.skipped = count.skipped;
    }
}

awaitable<std::vector<InboxStatus>> StatusReader::count_inbox() {
    constexpr std::string_view prefix = "MESSAGE#";
    constexpr std::size_t id_end = prefix.size() + 36;
    std::vector<InboxStatus> inboxes;
    Query scan(tables_.inbox, {}, {});
    scan.consistent = false;
    std::size_t counted = 0;
    Item start;
    do {
        const Page page = co_await db_.impl().read_page(scan, start);
        counted += page.items.size();
        for (const Item& row : page.items) {
            const std::string& key = row.at("PK").text();
            if (!key.starts_with(prefix) || key.size() < id_end || (key.size() > id_end && key[id_end] != '#'))
                continue;
            const std::string_view consumer =
                key.size() > id_end ? std::string_view(key).substr(id_end + 1) : std::string_view{};
            const std::string* state = text_of(row, "State");
            InboxStatus& inbox = of_consumer(inboxes, consumer);
            inbox.processed += !state || *state == "processed" ? 1 : 0;
            inbox.skipped += state && *state == "skipped" ? 1 : 0;
        }
        start = page.last_key;
    } while (!start.empty() && counted < most_counted);
    if (counted > costs_little)
        counts_->remember(inboxes);
    co_return inboxes;
}

awaitable<void> StatusReader::read_consumer(InboxStatus& inbox) {
    const ConsumerKeys keys(inbox.consumer, tables_.inbox);
    const std::vector<Item> lanes = co_await db_.impl().read_all(partition_of(tables_.state, keys.lanes()));
    for (const Item& lane : lanes) {
        ++inbox.lanes_blocked;
        inbox.parked += static_cast<std::uint64_t>(lane_row_of(lane).parked);
    }
    // One that was sent again by its sender, and took effect, is none any more.
    const Query letters = partition_of(tables_.state, keys.dead_letters());
    Item start;
    do {
        const Page page = co_await db_.impl().read_page(letters, start);
        std::vector<TableKey> wanted;
        wanted.reserve(page.items.size());
        for (const Item& letter : page.items)
            wanted.emplace_back(tables_.inbox, inbox_key(Uuid::parse(letter.at("SK").text()), inbox.consumer));
        const std::vector<std::optional<Item>> rows = co_await db_.impl().get_items(wanted);
        for (const std::optional<Item>& row : rows)
            inbox.dead += !row || is_dead(*row) ? 1 : 0;
        start = page.last_key;
    } while (!start.empty());
}

awaitable<void> StatusReader::check_table(std::string table, bool needs_stream, StoreStatus& status) {
    std::string body = R"({"TableName":)";
    append_text(body, table);
    body += '}';
    std::string same = body;
    const boost::json::object answer = co_await db_.impl().request("DescribeTable", std::move(body));
    const boost::json::object& described = answer.at("Table").as_object();
    const auto warn = [&](const std::string& text) { status.warnings.push_back("the table " + table + " " + text); };
    const auto* stream = described.if_contains("StreamSpecification");
    const auto* enabled = stream && stream->is_object() ? stream->get_object().if_contains("StreamEnabled") : nullptr;
    if (needs_stream && !(enabled && enabled->is_bool() && enabled->get_bool()))
        warn(
            "has no stream: a relay has to poll it; enable a stream of new and old images, or keep polling with "
            "`--feed poll`");
    if (db_.impl().options.home_region.empty() && has_replicas(described))
        warn(replicas_refused);
    const boost::json::object expiry = co_await db_.impl().request("DescribeTimeToLive", std::move(same));
    const auto* description = expiry.if_contains("TimeToLiveDescription");
    const std::string_view state =
        description && description->is_object() ? text_in(description->get_object(), "TimeToLiveStatus") : "";
    if (state != "ENABLED" && state != "ENABLING")
        warn("does not delete what has expired: enable its time to live with the attribute ExpiresAt");
}

}  // namespace txm::dynamodb::detail
