#include "stores/dynamodb/feed_elements.hpp"

#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "stores/dynamodb/transact_item.hpp"

#include <algorithm>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// An item has at most 400 kB; a broker may say a lot.
constexpr std::size_t longest_reason = 4'000;

std::string shortened(std::string_view reason) {
    std::size_t size = std::min(reason.size(), longest_reason);
    while (size < reason.size() && size > 0 && (static_cast<unsigned char>(reason[size]) & 0xC0U) == 0x80U)
        --size;  // not within a character
    return std::string(reason.substr(0, size));
}

Item row_key_of(const std::string& row_key) {
    Item key;
    key.emplace("PK", row_key);
    return key;
}

Item row_key_of(const GivenMessage& message) {
    return row_key_of(message.row_key);
}

Condition when(std::string_view expression, std::string_view name, Attribute value) {
    Item values;
    values.emplace(name, std::move(value));
    return Condition{expression, std::move(values)};
}

}  // namespace

Elements FeedElements::dispatched(const GivenMessage& message, Timestamp time, bool is_unexpected) const {
    Condition row{"attribute_exists(PK)"}, state;
    if (message.is_parked && !is_unexpected) {
        if (tables_.compat)
            state = when("#State = :parked", ":parked", "parked");
        else
            row = when("attribute_exists(PK) AND NotDispatched <> :dead", ":dead", not_dispatched_dead);
    }
    Elements elements = mark(message, time, std::move(row), state);
    if (is_unexpected)
        elements.push_back(delete_element(tables_.state, dead_key(message.sequence, message.message_id)));
    return elements;
}

// One that is parked meanwhile stays a member of its lane: the relay sees there that it is settled.
Elements FeedElements::dispatched_beside(const GivenMessage& message, Timestamp time) const {
    if (tables_.compat)
        return mark(message, time, Condition{"attribute_exists(PK)"},
                    when("attribute_not_exists(#State) OR #State = :parked", ":parked", "parked"));
    constexpr std::string_view is_not_dead =
        "attribute_exists(PK) AND (attribute_not_exists(NotDispatched) OR NotDispatched <> :dead)";
    return mark(message, time, when(is_not_dead, ":dead", not_dispatched_dead), Condition{});
}

Elements FeedElements::mark(const GivenMessage& message, Timestamp time, Condition row, const Condition& state) const {
    Elements elements;
    if (retention_ == std::chrono::seconds{0}) {
        elements.push_back(delete_element(tables_.outbox, row_key_of(message), row));
    } else {
        std::string_view update =
            "REMOVE NotDispatched SET IsDispatched = :yes, LastDispatchedAt = :time ADD ApproximateDispatchCount :one";
        row.values.emplace(":yes", true);
        row.values.emplace(":one", 1);
        row.values.emplace(":time", time);
        if (retention_) {
            update =
                "REMOVE NotDispatched SET IsDispatched = :yes, LastDispatchedAt = :time, ExpiresAt = :end "
                "ADD ApproximateDispatchCount :one";
            const Timestamp end = time + *retention_;
            row.values.emplace(":end", std::chrono::ceil<std::chrono::seconds>(end.time_since_epoch()).count());
        }
        elements.push_back(update_element(tables_.outbox, row_key_of(message), update, row));
    }
    if (message.has_state)
        elements.push_back(end_of_state(message_state_key(message.message_id), message.replays, state));
    else if (!state.expression.empty())
        elements.push_back(check_element(tables_.state, message_state_key(message.message_id), state));
    if (message.is_parked)
        elements.push_back(
            delete_element(tables_.state, parked_key(message.aggregate_id, message.sequence, message.message_id)));
    return elements;
}

// How often it was sent again is remembered: the next time it needs another number.
std::string FeedElements::end_of_state(Item key, int replays, const Condition& condition) const {
    if (replays == 0 || retention_ == std::chrono::seconds{0})
        return delete_element(tables_.state, key, condition);
    key.emplace("Replays", replays);
    return put_element(tables_.state, key, condition);
}

// On a table that is shared the row says nothing of what txm knows; then it is only checked.
std::string FeedElements::row_update(const GivenMessage& message, std::string_view mark,
                                     std::string_view condition) const {
    if (tables_.compat)
        return check_element(tables_.outbox, row_key_of(message), Condition{"attribute_exists(NotDispatched)"});
    return update_element(tables_.outbox, row_key_of(message), "SET NotDispatched = :mark",
                          when(condition, ":mark", mark));
}

Item FeedElements::state_of(const GivenMessage& message, std::string_view state, int attempts) const {
    Item item = message_state_key(message.message_id);
    item.emplace("State", state);
    item.emplace("Attempts", attempts);
    if (message.replays > 0)
        item.emplace("Replays", message.replays);
    item.emplace("AggregateId", message.aggregate_id);
    item.emplace("Sequence", message.sequence);
    return item;
}

Elements FeedElements::dead(const GivenMessage& message, const Outcome& outcome, Timestamp time) const {
    Elements elements;
    elements.push_back(
        row_update(message, not_dispatched_dead, "attribute_exists(NotDispatched) AND NotDispatched <> :mark"));
    Item state = state_of(message, "dead", outcome.attempts);
    const std::string reason = shortened(outcome.reason);
    state.emplace("Reason", reason);
    Condition is_parked;
    if (message.is_parked)
        is_parked = when("#State = :parked", ":parked", "parked");
    elements.push_back(put_element(tables_.state, state, is_parked));
    Item letter = dead_key(message.sequence, message.message_id);
    letter.emplace("MessageId", message.message_id);
    letter.emplace("AggregateId", message.aggregate_id);
    letter.emplace("Topic", message.topic);
    letter.emplace("Sequence", message.sequence);
    letter.emplace("Attempts", outcome.attempts);
    letter.emplace("Reason", reason);
    letter.emplace("DeadAt", fixed_width(time));
    letter.emplace("Held", outcome.settlement == Settlement::held);
    if (message.row_key != key_of(message.message_id))
        letter.emplace("RowKey", message.row_key);
    elements.push_back(put_element(tables_.state, letter));
    if (message.is_parked)
        elements.push_back(
            delete_element(tables_.state, parked_key(message.aggregate_id, message.sequence, message.message_id)));
    return elements;
}

Elements FeedElements::parked(const GivenMessage& message, int attempts) const {
    Elements elements;
    const Item state = state_of(message, "parked", attempts);
    if (message.is_parked) {
        elements.push_back(put_element(tables_.state, state, when("#State = :parked", ":parked", "parked")));
        return elements;
    }
    Condition is_pending;
    if (tables_.compat) {
        elements.push_back(row_update(message, {}, {}));
    } else {
        Item values;
        values.emplace(":parked", not_dispatched_parked);
        values.emplace(":pending", not_dispatched);
        elements.push_back(update_element(tables_.outbox, row_key_of(message), "SET NotDispatched = :parked",
                                          Condition{"NotDispatched = :pending", std::move(values)}));
    }
    elements.push_back(put_element(tables_.state, state));
    Item member = parked_key(message.aggregate_id, message.sequence, message.message_id);
    member.emplace("MessageId", message.message_id);
    if (message.row_key != key_of(message.message_id))
        member.emplace("RowKey", message.row_key);
    elements.push_back(put_element(tables_.state, member));
    return elements;
}

std::string FeedElements::attempts(const Uuid& message_id, int attempts) const {
    return update_element(tables_.state, message_state_key(message_id), "SET #Attempts = :attempts",
                          when({}, ":attempts", attempts));
}

Elements FeedElements::lane(const AggregateId& aggregate_id, const std::optional<BlockedLane>& old,
                            const LaneChange& change) const {
    Item item = lane_key(aggregate_id);
    item.emplace("FromSequence", change.from);
    item.emplace("Attempts", change.attempts);
    item.emplace("Reason", shortened(change.reason));
    if (change.next_attempt) {
        item.emplace("NextAttemptAt", fixed_width(*change.next_attempt));
    } else {
        item.emplace("Held", true);
        item.emplace("MessageId", change.held_message);
    }
    Condition is_as_read{"attribute_not_exists(PK)"};
    if (old && old->next_attempt)
        is_as_read = when("NextAttemptAt = :seen", ":seen", fixed_width(*old->next_attempt));
    else if (old && !old->held_message.is_nil())
        is_as_read = when("MessageId = :seen AND attribute_not_exists(NextAttemptAt)", ":seen", old->held_message);
    else if (old)
        is_as_read = Condition{"attribute_exists(PK) AND attribute_not_exists(NextAttemptAt)"};
    Elements elements;
    elements.push_back(put_element(tables_.state, item, is_as_read));
    if (old && old->next_attempt && old->next_attempt != change.next_attempt)
        elements.push_back(delete_element(tables_.state, due_key(*old->next_attempt, aggregate_id)));
    if (change.next_attempt) {
        Item due = due_key(*change.next_attempt, aggregate_id);
        due.emplace("AggregateId", aggregate_id);
        elements.push_back(put_element(tables_.state, due));
    }
    return elements;
}

std::string FeedElements::blocked(const AggregateId& aggregate_id) const {
    return check_element(tables_.state, lane_key(aggregate_id), Condition{"attribute_exists(PK)"});
}

Elements FeedElements::end_of(const DueLane& lane) const {
    Elements elements;
    elements.push_back(delete_element(tables_.state, lane_key(lane.aggregate_id),
                                      when("NextAttemptAt = :seen", ":seen", fixed_width(lane.next_attempt))));
    elements.push_back(delete_element(tables_.state, due_key(lane.next_attempt, lane.aggregate_id)));
    return elements;
}

std::string FeedElements::settled(const std::string& row_key) const {
    return check_element(tables_.outbox, row_key_of(row_key), Condition{"attribute_not_exists(NotDispatched)"});
}

Elements FeedElements::forgotten(const ParkedMember& member, const FeedRow& row) const {
    const Item state = message_state_key(row.candidate.message.message_id);
    Elements elements;
    if (row.state == RowState::settled) {
        elements.push_back(settled(member.row_key));
        if (row.candidate.has_state)
            elements.push_back(end_of_state(state, row.candidate.message.replays, {}));
    } else if (tables_.compat) {
        elements.push_back(check_element(tables_.state, state,
                                         when("attribute_exists(#State) AND #State <> :parked", ":parked", "parked")));
    } else {
        elements.push_back(check_element(tables_.outbox, row_key_of(member.row_key),
                                         when("NotDispatched = :dead", ":dead", not_dispatched_dead)));
    }
    elements.push_back(delete_element(tables_.state, member.key));
    return elements;
}

std::string FeedElements::let_go(Sequence sequence, const Uuid& message_id) const {
    return update_element(tables_.state, dead_key(sequence, message_id), "SET #Held = :no",
                          when("attribute_exists(PK)", ":no", false));
}

}  // namespace txm::dynamodb::detail
