#include "core/fault_point.hpp"
#include "stores/dynamodb/admin_filter.hpp"
#include "stores/dynamodb/admin_outbox.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/moved.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// Of messages that are decided about in one transaction: each needs up to four of its items, their lane three.
constexpr std::size_t at_once = 24;

constexpr std::string_view skipped_reason = "skipped by an operator";

Item row_key_of(const OutboxMessage& message) {
    Item key;
    key.emplace("PK", message.row_key);
    return key;
}

bool has_other_row_key(const OutboxMessage& message) {
    return message.row_key != key_of(message.listed.message.message_id);
}

Item state_item(const OutboxMessage& message, std::string_view state, int attempts, int replays) {
    const StoredMessage& stored = message.listed.message;
    Item item = message_state_key(stored.message_id);
    item.emplace("State", state);
    item.emplace("Attempts", attempts);
    if (replays > 0)
        item.emplace("Replays", replays);
    item.emplace("AggregateId", stored.aggregate_id);
    item.emplace("Sequence", stored.sequence);
    return item;
}

/// A write of what the state table says of a message, when it says what was read.
Write if_state_is(Write write, const std::string& state, Item values = {}) {
    if (state.empty())
        return std::move(write).when("attribute_not_exists(#state)", Moved{});
    values.emplace(":state", state);
    return std::move(write).values(std::move(values)).when("#state = :state", Moved{});
}

bool can_replay(const OutboxMessage& message) {
    return message.listed.message.state != MessageState::pending;
}

bool can_skip(const OutboxMessage& message) {
    const MessageState state = message.listed.message.state;
    return state == MessageState::parked || (state == MessageState::dead && message.state != "skipped");
}

// A dead letter that holds its lane stays: without it nobody could decide about the lane any more.
bool can_purge(const OutboxMessage& message) {
    const MessageState state = message.listed.message.state;
    return state == MessageState::dispatched || (state == MessageState::dead && !message.listed.held);
}

std::vector<std::pair<std::string, std::string>> state_name() {
    return {{"#state", "State"}};
}

}  // namespace

awaitable<std::size_t> OutboxAdmin::replay(MessageFilter filter, Admin::Progress progress) {
    return decide(std::move(filter), std::move(progress), Decision{&can_replay, &OutboxAdmin::stage_replay});
}

awaitable<std::size_t> OutboxAdmin::skip(MessageFilter filter, Admin::Progress progress) {
    return decide(std::move(filter), std::move(progress), Decision{&can_skip, &OutboxAdmin::stage_skip});
}

awaitable<std::size_t> OutboxAdmin::purge(MessageFilter filter, Admin::Progress progress) {
    filter.state = filter.state.value_or(MessageState::dispatched);
    if (filter.state == MessageState::pending || filter.state == MessageState::parked)
        throw Error(Errc::invalid_configuration,
                    "pending and parked messages are never deleted: replay or skip them first");
    require_before(filter);
    return decide(std::move(filter), std::move(progress), Decision{&can_purge, &OutboxAdmin::stage_purge});
}

awaitable<std::size_t> OutboxAdmin::decide(MessageFilter filter, Admin::Progress progress, Decision decision) {
    const std::vector<SelectedKey> keys = co_await select_keys(db_.impl(), tables_, filter);
    const std::size_t most = limit_of(filter);
    std::size_t done = 0;
    for (std::span<const SelectedKey> rest{keys}; !rest.empty() && done < most;) {
        const auto some = rest.first(std::min(page, rest.size()));
        rest = rest.subspan(some.size());
        std::vector<std::string> row_keys;
        for (const SelectedKey& key : some)
            row_keys.push_back(key.row_key);
        std::vector<OutboxMessage> messages = co_await read(std::move(row_keys));
        std::map<AggregateId, std::vector<OutboxMessage>> lanes;
        std::size_t meant = 0;
        for (OutboxMessage& message : messages) {
            if (done + meant == most || !is_meant(filter, message) || !decision.applies(message))
                continue;
            ++meant;
            lanes[message.listed.message.aggregate_id].push_back(std::move(message));
        }
        for (auto& [aggregate_id, of_lane] : lanes) {
            for (std::span<OutboxMessage> left{of_lane}; !left.empty();) {
                const auto taken = left.first(std::min(at_once, left.size()));
                left = left.subspan(taken.size());
                std::vector<OutboxMessage> together(std::move_iterator(taken.begin()), std::move_iterator(taken.end()));
                const std::size_t changed = co_await decide_lane(std::move(together), filter, decision);
                done += changed;
            }
        }
        if (progress)
            progress(done);
    }
    co_return done;
}

// The lane was read with the messages, and is not any more what it was when other messages of it have been decided about
// since: the first of them tells, and all are read again.
awaitable<std::size_t> OutboxAdmin::decide_lane(std::vector<OutboxMessage> messages, const MessageFilter& filter,
                                                Decision decision) {
    std::vector<std::string> row_keys;
    row_keys.reserve(messages.size());
    for (const OutboxMessage& message : messages)
        row_keys.push_back(message.row_key);
    std::size_t changed = 0;
    int failures = 0;
    for (bool is_done = false; !is_done;) {
        Session session(db_);
        LaneWish wish;
        changed = 0;
        for (const OutboxMessage& message : messages) {
            if (!is_meant(filter, message) || !decision.applies(message))
                continue;
            (this->*decision.stage)(message, session, wish);
            ++changed;
        }
        if (changed == 0)
            co_return 0;
        stage_lane(messages.front().listed.message.aggregate_id, messages.front().lane, wish, session);
        fault::point("dynamodb_admin.batch");
        is_done = co_await commit_unless_moved(session, failures);
        if (!is_done)
            messages = co_await read(row_keys);
        if (messages.empty())
            co_return 0;
    }
    co_return changed;
}

// A parked message was not acknowledged: no broker would take it for a duplicate, it keeps its deduplication id.
void OutboxAdmin::stage_replay(const OutboxMessage& message, Session& session, LaneWish& wish) const {
    const StoredMessage& stored = message.listed.message;
    const bool was_parked = stored.state == MessageState::parked;
    Item state = state_item(message, "parked", 0, stored.replays + (was_parked ? 0 : 1));
    session.add(if_state_is(Write::put(tables_.state, std::move(state)).names(state_name()), message.state));
    if (!was_parked) {
        // Without its time to live: it must not be deleted before it is dispatched again.
        const bool was_dead = stored.state == MessageState::dead;
        Item values;
        values.emplace(":mark", tables_.compat ? not_dispatched : not_dispatched_parked);
        values.emplace(":no", false);
        std::string condition = "attribute_exists(PK) and attribute_not_exists(NotDispatched)";
        if (was_dead)
            condition = "attribute_exists(NotDispatched)";
        session.add(Write::update(tables_.outbox, row_key_of(message),
                                  "set NotDispatched = :mark, IsDispatched = :no remove ExpiresAt")
                        .values(std::move(values))
                        .when(std::move(condition), Moved{}));
        Item member = parked_key(stored.aggregate_id, stored.sequence, stored.message_id);
        member.emplace("MessageId", stored.message_id);
        if (has_other_row_key(message))
            member.emplace("RowKey", message.row_key);
        session.put(tables_.state, std::move(member));
        if (was_dead)
            session.remove(tables_.state, dead_key(stored.sequence, stored.message_id));
    }
    wish.put_back = std::min(wish.put_back.value_or(stored.sequence), stored.sequence);
    wish.goes_on = true;
    wish.is_decided = wish.is_decided || message.lane.is_held_by(stored.message_id);
}

void OutboxAdmin::stage_skip(const OutboxMessage& message, Session& session, LaneWish& wish) const {
    const StoredMessage& stored = message.listed.message;
    const bool is_parked = stored.state == MessageState::parked;
    Item state = state_item(message, "skipped", stored.attempts, stored.replays);
    state.emplace("Reason", skipped_reason);
    session.add(if_state_is(Write::put(tables_.state, std::move(state)).names(state_name()), message.state));
    if (is_parked) {
        if (!tables_.compat) {
            Item values;
            values.emplace(":dead", not_dispatched_dead);
            values.emplace(":parked", not_dispatched_parked);
            session.add(Write::update(tables_.outbox, row_key_of(message), "set NotDispatched = :dead")
                            .values(std::move(values))
                            .when("NotDispatched = :parked", Moved{}));
        }
        session.remove(tables_.state, parked_key(stored.aggregate_id, stored.sequence, stored.message_id));
    }
    Item letter = dead_key(stored.sequence, stored.message_id);
    letter.emplace("MessageId", stored.message_id);
    letter.emplace("AggregateId", stored.aggregate_id);
    letter.emplace("Topic", stored.topic);
    letter.emplace("Sequence", stored.sequence);
    letter.emplace("Attempts", stored.attempts);
    letter.emplace("Reason", skipped_reason);
    letter.emplace("DeadAt", fixed_width(now()));
    letter.emplace("Held", false);
    letter.emplace("Skipped", true);
    if (has_other_row_key(message))
        letter.emplace("RowKey", message.row_key);
    session.put(tables_.state, std::move(letter));
    wish.goes_on = true;
    wish.is_decided = wish.is_decided || message.lane.is_held_by(stored.message_id);
}

void OutboxAdmin::stage_purge(const OutboxMessage& message, Session& session, LaneWish&) const {
    const StoredMessage& stored = message.listed.message;
    const bool is_dead = stored.state == MessageState::dead;
    Write row = Write::remove(tables_.outbox, row_key_of(message));
    if (!is_dead) {
        session.add(std::move(row).when("attribute_exists(PK) and attribute_not_exists(NotDispatched)", Moved{}));
        session.remove(tables_.state, message_state_key(stored.message_id));
        return;
    }
    session.add(std::move(row).when("attribute_exists(NotDispatched)", Moved{}));
    session.add(if_state_is(Write::remove(tables_.state, message_state_key(stored.message_id)).names(state_name()),
                            message.state));
    session.remove(tables_.state, dead_key(stored.sequence, stored.message_id));
}

// The time is always another one than before: a relay that is about to end the lane, because it saw nothing in it, does so
// on the condition of the time that it saw.
void OutboxAdmin::stage_lane(const AggregateId& aggregate_id, const OutboxLane& lane, const LaneWish& wish,
                             Session& session) const {
    const bool is_there = !lane.item.empty();
    if (!wish.goes_on || (!is_there && !wish.put_back))
        return;
    const std::optional<Timestamp> before = lane.next_attempt();
    std::string condition = "attribute_not_exists(PK)";
    Item seen;
    if (before) {
        condition = "NextAttemptAt = :seen";
        seen.emplace(":seen", fixed_width(*before));
    } else if (is_there) {
        condition = "attribute_exists(PK) and attribute_not_exists(NextAttemptAt)";
    }
    if (lane.is_held() && !wish.is_decided) {
        session.add(Write::check(tables_.state, lane_key(aggregate_id)).when(std::move(condition), Moved{}));
        return;
    }
    Timestamp next = now();
    if (before == next)
        next += std::chrono::microseconds{1};
    Item item = lane_key(aggregate_id);
    Sequence from = is_there ? integer_of(lane.item, "FromSequence") : wish.put_back.value_or(0);
    if (wish.put_back)
        from = std::min(from, *wish.put_back);
    item.emplace("FromSequence", from);
    item.emplace("Attempts", wish.put_back ? 0 : integer_of(lane.item, "Attempts"));
    item.emplace("Reason", is_there ? lane.reason() : "sent again by an operator");
    item.emplace("NextAttemptAt", fixed_width(next));
    session.add(Write::put(tables_.state, std::move(item)).values(std::move(seen)).when(std::move(condition), Moved{}));
    if (before && *before != next)
        session.remove(tables_.state, due_key(*before, aggregate_id));
    Item due = due_key(next, aggregate_id);
    due.emplace("AggregateId", aggregate_id);
    session.put(tables_.state, std::move(due));
}

}  // namespace txm::dynamodb::detail
