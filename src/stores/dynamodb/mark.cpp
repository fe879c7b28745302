#include "stores/dynamodb/mark.hpp"

#include "core/backoff.hpp"
#include "core/fault_point.hpp"
#include "stores/dynamodb/commit.hpp"
#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "txm/error.hpp"

#include <chrono>
#include <memory>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

constexpr const char* update =
    "REMOVE NotDispatched SET IsDispatched = :yes, LastDispatchedAt = :time ADD ApproximateDispatchCount :one";

Item update_values() {
    Item values;
    values.emplace(":yes", true);
    values.emplace(":time", now());
    values.emplace(":one", 1);
    return values;
}

/// On a table that no other program shares, the row of a dead letter says that it is one.
std::string mark_request(const OutboxTable& table, const Uuid& message_id) {
    Item values = update_values();
    if (!table.compat)
        values.emplace(":dead", not_dispatched_dead);
    std::string body = R"({"TableName":)";
    append_text(body, table.name);
    body += R"(,"Key":)";
    append_json(body, outbox_key(message_id));
    body += R"(,"UpdateExpression":)";
    append_text(body, update);
    body += R"(,"ExpressionAttributeValues":)";
    append_json(body, values);
    body += R"(,"ConditionExpression":)";
    append_text(body, table.compat
                          ? "attribute_exists(PK)"
                          : "attribute_exists(PK) AND (attribute_not_exists(NotDispatched) OR NotDispatched <> :dead)");
    body += R"(,"ReturnValuesOnConditionCheckFailure":"ALL_OLD"})";
    return body;
}

bool is_dead(const Item& state) {
    const std::string* text = text_of(state, "State");
    return text && (*text == "dead" || *text == "skipped");
}

/// @returns what the state table says of the message; empty when it says nothing, or is not there
awaitable<Item> state_of(DatabaseImpl& db, const OutboxTable& table, Uuid message_id) {
    if (db.is_known_missing(table.state_table))
        co_return Item{};
    std::optional<Item> state;
    try {
        const Item key = message_state_key(message_id);
        state = co_await db.get_item(table.state_table, key);
    } catch (const Error& error) {
        if (error.code() != Errc::schema_missing)
            throw;
        db.learn_missing(table.state_table);
    }
    co_return state ? std::move(*state) : Item{};
}

/// The writes that let a lane go on, when it is this dead letter that holds it.
void append_lane(std::vector<StagedWrite>& writes, const std::string& state_table, const AggregateId& aggregate_id,
                 const Item& lane, const Uuid& message_id) {
    const std::string* holder = text_of(lane, "MessageId");
    if (lane.contains("NextAttemptAt") || !holder || *holder != message_id.to_string())
        return;
    const Timestamp time = now();
    Item free = lane;
    free.erase("Held");
    free.erase("MessageId");
    free.emplace("NextAttemptAt", fixed_width(time));
    Item values;
    values.emplace(":holder", *holder);
    writes.emplace_back(Write::put(state_table, std::move(free))
                            .values(std::move(values))
                            .when("MessageId = :holder AND attribute_not_exists(NextAttemptAt)"));
    Item due = due_key(time, aggregate_id);
    due.emplace("AggregateId", aggregate_id);
    writes.emplace_back(Write::put(state_table, std::move(due)));
}

/// All that says that the message is a dead letter goes in one transaction with the mark.
awaitable<void> mark_dead(DatabaseImpl& db, std::shared_ptr<const OutboxTable> table, Uuid message_id) {
    const Item row_key = outbox_key(message_id);
    const std::optional<Item> row = co_await db.get_item(table->name, row_key);
    if (!row)
        throw MessageNotFoundError(message_id);
    const StoredMessage message = message_of(*row);
    std::vector<TableKey> keys;
    keys.emplace_back(table->state_table, message_state_key(message_id));
    keys.emplace_back(table->state_table, lane_key(message.aggregate_id));
    const std::vector<std::optional<Item>> items = co_await db.get_items(keys);

    std::vector<StagedWrite> writes;
    writes.emplace_back(Write::update(table->name, row_key, update)
                            .values(update_values())
                            .when("attribute_exists(PK)", MessageNotFoundError{message_id}));
    if (items[0]) {
        Item state = message_state_key(message_id);
        if (const std::int64_t replays = integer_of(*items[0], "Replays"); replays > 0) {
            state.emplace("Replays", replays);
            writes.emplace_back(Write::put(table->state_table, std::move(state)));
        } else {
            writes.emplace_back(Write::remove(table->state_table, std::move(state)));
        }
    }
    writes.emplace_back(Write::remove(table->state_table, dead_key(message.sequence, message_id)));
    if (items[1])
        append_lane(writes, table->state_table, message.aggregate_id, *items[1], message_id);
    Commit commit{db, Transaction{std::move(writes), now()}};
    co_await commit.check();
    co_await commit.run();
}

}  // namespace

awaitable<void> mark_as_dispatched(DatabaseImpl& db, std::shared_ptr<const OutboxTable> table, Uuid message_id) {
    constexpr int most_attempts = 5;
    txm::detail::Backoff backoff{std::chrono::milliseconds(20), std::chrono::milliseconds(500)};
    bool was_dead = false;
    if (table->compat) {
        const Item state = co_await state_of(db, *table, message_id);
        was_dead = is_dead(state);
    }
    fault::point("dynamodb.mark");
    if (!was_dead) {
        try {
            co_await db.call("UpdateItem", mark_request(*table, message_id));
            co_return;
        } catch (const aws::ServiceError& error) {
            if (error.type() != "ConditionalCheckFailedException")
                throw;
            if (!parse_object(error.body()).contains("Item"))
                throw MessageNotFoundError(message_id);
        }
    }
    for (int attempt = 1;; ++attempt) {
        try {
            co_await mark_dead(db, table, message_id);
            co_return;
        } catch (const Error& error) {
            // A relay or an operator changed the lane meanwhile.
            if (error.code() != Errc::unexpected_rows || attempt == most_attempts)
                throw;
        }
        co_await pause(backoff.after(attempt));
    }
}

}  // namespace txm::dynamodb::detail
