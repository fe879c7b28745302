#include "stores/dynamodb/consumer_store_lanes.hpp"

#include "stores/dynamodb/consumer_store_delivery.hpp"
#include "stores/dynamodb/database_impl.hpp"

#include <algorithm>
#include <utility>

namespace txm::dynamodb::detail {

namespace {

Item item_of(const LaneRow& row, const ConsumerLane& lane, Item key) {
    Item item = std::move(key);
    item.emplace("Topic", lane.topic);
    item.emplace("AggregateId", lane.aggregate_id);
    item.emplace("Version", row.version);
    item.emplace("Parked", row.parked);
    item.emplace("Reason", row.reason);
    if (row.parked > 0)
        item.emplace("Head", row.head);
    if (row.is_held())
        item.emplace("HeldBy", Attribute::StringSet{{row.held_by.begin(), row.held_by.end()}});
    else
        item.emplace("NextAttemptAt", row.next_attempt);
    return item;
}

// What waits for its time, and the delivery that is to be tried then.
Item due_item(const LaneRow& row, Item key) {
    Item item = std::move(key);
    item.emplace("MessageId", row.head.substr(row.head.rfind('#') + 1));
    return item;
}

}  // namespace

LaneRow lane_row_of(const Item& item) {
    LaneRow row;
    row.version = item.at("Version").integer();
    row.parked = item.at("Parked").integer();
    row.reason = item.at("Reason").text();
    if (const auto head = item.find("Head"); head != item.end())
        row.head = head->second.text();
    if (const auto next = item.find("NextAttemptAt"); next != item.end())
        row.next_attempt = parse_iso8601(next->second.text());
    if (const auto held = item.find("HeldBy"); held != item.end()) {
        if (const auto* ids = std::get_if<Attribute::StringSet>(&held->second.value()))
            row.held_by.insert(ids->values.begin(), ids->values.end());
    }
    return row;
}

// Who changes what is kept changes the version of its lane, too. So a lane is read before what is kept of it: then its version
// tells at the commit that neither has changed. Reads of many items at once are none of one moment.
awaitable<void> ConsumerLanes::load(std::vector<ConsumerLane> lanes, std::vector<std::string> message_ids) {
    do {
        co_await load_rows(std::exchange(lanes, {}));
        kept_.clear();
        co_await load_kept(message_ids);
        // Only that tells the lanes where an operator names messages, or a sender uses an id in two of them.
        for (const auto& [id, kept] : kept_) {
            if (!rows_.contains(kept.lane))
                lanes.push_back(kept.lane);
        }
    } while (!lanes.empty());
}

awaitable<void> ConsumerLanes::load_rows(std::vector<ConsumerLane> lanes) {
    std::ranges::sort(lanes);
    lanes.erase(std::ranges::unique(lanes).begin(), lanes.end());
    std::vector<TableKey> wanted;
    wanted.reserve(lanes.size());
    for (const ConsumerLane& lane : lanes)
        wanted.emplace_back(table_, keys_.lane(lane));
    if (wanted.empty())
        co_return;
    const std::vector<std::optional<Item>> found = co_await db_.impl().get_items(wanted);
    for (std::size_t i = 0; i < lanes.size(); ++i) {
        Row row;
        if (found[i])
            row.before = row.after = lane_row_of(*found[i]);
        rows_.insert_or_assign(lanes[i], std::move(row));
    }
}

awaitable<void> ConsumerLanes::load_kept(const std::vector<std::string>& message_ids) {
    std::vector<TableKey> wanted;
    wanted.reserve(message_ids.size());
    for (const std::string& id : message_ids)
        wanted.emplace_back(table_, keys_.parked(id));
    if (wanted.empty())
        co_return;
    std::vector<std::optional<Item>> found = co_await db_.impl().get_items(wanted);
    for (std::size_t i = 0; i < message_ids.size(); ++i) {
        if (!found[i])
            continue;
        Kept kept;
        const Delivery delivery = delivery_of(*found[i]);
        kept.lane = lane_of(delivery.message);
        kept.place = found[i]->at("Place").text();
        kept.attempts = delivery.attempt;
        kept.replay = delivery.replay;
        kept.item = std::move(*found[i]);
        kept_.insert_or_assign(message_ids[i], std::move(kept));
    }
}

const Kept* ConsumerLanes::kept(const std::string& message_id) const {
    const auto found = kept_.find(message_id);
    return found == kept_.end() ? nullptr : &found->second;
}

void Kept::set(int tries, bool is_replay, int replays) {
    is_changed = true;
    attempts = tries;
    replay = is_replay;
    item.insert_or_assign("Attempts", tries);
    item.insert_or_assign("Replays", std::max<std::int64_t>(item.at("Replays").integer(), replays));
    if (is_replay)
        item.insert_or_assign("Replay", true);
}

// One that is kept already stays where it is: what is delivered again may have another position.
Kept& ConsumerLanes::keep(const Delivery& delivery) {
    const std::string id = delivery.message.message_id.to_string();
    const auto [found, is_new] = kept_.try_emplace(id);
    Kept& kept = found->second;
    if (is_new) {
        kept.lane = lane_of(delivery.message);
        kept.place = ConsumerKeys::place(delivery);
        kept.attempts = delivery.attempt;
        kept.replay = delivery.replay;
        kept.is_changed = true;
        kept.item = item_of(delivery, keys_.parked(id));
        kept.item.insert_or_assign("Place", kept.place);
        LaneRow& lane = row(kept.lane).after;
        ++lane.parked;
        if (lane.head.empty() || kept.place < lane.head)
            lane.head = kept.place;
        writes_.push_back(Write::put(table_, keys_.member(kept.lane, kept.place)));
        for (Item& part : parts_of(delivery, keys_.parked(id)))
            writes_.push_back(Write::put(table_, std::move(part)));
    } else if (delivery.attempt > kept.attempts || (delivery.replay && !kept.replay)) {
        kept.set(std::max(kept.attempts, delivery.attempt), kept.replay || delivery.replay, delivery.message.replays);
    }
    return kept;
}

void ConsumerLanes::park(const Delivery& delivery, Timestamp next_attempt, const std::string& reason) {
    const Kept& kept = keep(delivery);
    LaneRow& lane = row(kept.lane).after;
    const bool is_new = lane.version == 0;
    // One that was not tried is a redelivery of what is kept: it makes nothing due.
    const bool is_news = delivery.attempt > 0 && lane.head == kept.place;
    if (is_new || (is_news && !lane.is_held())) {
        lane.version = std::max<std::int64_t>(lane.version, 1);
        lane.next_attempt = next_attempt;
        lane.reason = reason;
    }
}

awaitable<void> ConsumerLanes::remove(std::string message_id) {
    const auto found = kept_.find(message_id);
    if (found == kept_.end())
        co_return;
    const Kept& kept = found->second;
    row(kept.lane).is_changed = true;
    LaneRow& lane = row(kept.lane).after;
    writes_.push_back(Write::remove(table_, keys_.parked(message_id)));
    writes_.push_back(Write::remove(table_, keys_.member(kept.lane, kept.place)));
    for (Item& part : part_keys(kept.item, keys_.parked(message_id)))
        writes_.push_back(Write::remove(table_, std::move(part)));
    --lane.parked;
    if (lane.parked <= 0) {
        lane.head.clear();
    } else if (lane.head == kept.place) {
        Item values;
        values.emplace(":lane", keys_.members(kept.lane));
        values.emplace(":place", kept.place);
        Query next(table_, "PK = :lane and SK > :place", std::move(values));
        next.limit = 1;
        Session reader(db_);
        const std::vector<Item> members = co_await reader.query(std::move(next));
        // None: another process has ended it, and the commit will find that out.
        if (!members.empty())
            lane.head = members.front().at("SK").text();
    }
    kept_.erase(found);
}

void ConsumerLanes::hold(const ConsumerLane& lane, const std::string& message_id, const std::string& reason) {
    LaneRow& after = row(lane).after;
    after.version = std::max<std::int64_t>(after.version, 1);
    after.held_by.insert(message_id);
    after.reason = reason;
}

// A lane that was due keeps its time: whoever looks at the same moment finds it due, too.
void ConsumerLanes::go_on(const ConsumerLane& lane) {
    LaneRow& after = row(lane).after;
    if (!after.is_held())
        after.next_attempt = std::min(after.next_attempt, now());
}

void ConsumerLanes::decided(const ConsumerLane& lane, const std::string& message_id) {
    LaneRow& after = row(lane).after;
    after.held_by.erase(message_id);
    if (after.version == 0) {
        after.version = 1;
        after.reason = "sent again by an operator";
    }
    if (!after.is_held())
        after.next_attempt = now();
}

void ConsumerLanes::begin_anew(const std::string& message_id) {
    const auto found = kept_.find(message_id);
    if (found != kept_.end())
        found->second.set(0, found->second.replay, 0);
}

void ConsumerLanes::begin_anew(const Delivery& dead_letter) {
    Delivery again = dead_letter;
    again.attempt = 0;
    again.replay = true;
    keep(again).set(0, true, again.message.replays);
}

void ConsumerLanes::stage(Session& session) {
    for (Write& write : writes_)
        session.add(std::move(write));
    writes_.clear();
    for (const auto& [id, kept] : kept_) {
        if (!kept.is_changed)
            continue;
        session.add(Write::put(table_, kept.item));
        row(kept.lane).is_changed = true;
    }
    for (auto& [lane, row] : rows_) {
        if (row.is_changed || row.before != row.after)
            stage_lane(session, lane, row);
    }
}

void ConsumerLanes::stage_lane(Session& session, const ConsumerLane& lane, Row& row) const {
    const LaneRow& before = row.before;
    LaneRow& after = row.after;
    const bool is_gone = after.parked <= 0 && !after.is_held();
    if (is_gone && before.version == 0)
        return;
    Item version;
    std::string condition = "attribute_not_exists(PK)";
    if (before.version > 0) {
        version.emplace(":version", before.version);
        condition = "Version = :version";
    }
    after.version = before.version + 1;
    Write write =
        is_gone ? Write::remove(table_, keys_.lane(lane)) : Write::put(table_, item_of(after, lane, keys_.lane(lane)));
    session.add(std::move(write).values(std::move(version)).when(std::move(condition), Moved{}));

    const bool was_waiting = before.version > 0 && before.waits();
    const bool is_at_other_time = before.next_attempt != after.next_attempt;
    if (was_waiting && (!after.waits() || is_at_other_time))
        session.add(Write::remove(table_, keys_.due(lane, before.next_attempt)));
    if (after.waits() && (!was_waiting || is_at_other_time || before.head != after.head))
        session.add(Write::put(table_, due_item(after, keys_.due(lane, after.next_attempt))));
}

}  // namespace txm::dynamodb::detail
