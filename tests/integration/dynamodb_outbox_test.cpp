#include "dynamodb_session_fixture.hpp"
#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "support/fake_http.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using dynamodb::Item;
using testing::HasSubstr;

/// The rows that the original wrote, in tests/data/dynamodb.
std::vector<Item> fixture(const std::string& file) {
    std::ifstream in{TXM_SOURCE_DIR "/tests/data/dynamodb/" + file};
    std::stringstream text;
    text << in.rdbuf();
    const boost::json::object answer = dynamodb::detail::parse_object(text.str());
    std::vector<Item> items;
    for (const auto& row : answer.at("Items").as_array())
        items.push_back(dynamodb::detail::item_from(row.as_object()));
    return items;
}

std::set<std::string> names_of(const Item& item) {
    std::set<std::string> names;
    for (const auto& [name, value] : item)
        names.insert(name);
    return names;
}

class DynamoDbOutbox : public DynamoDbSession {
protected:
    void put(const std::string& table, const Item& row) {
        dynamodb::Session putting{*db};
        putting.put(table, row);
        sync_wait(putting.commit());
    }

    static dynamodb::OutboxOptions shared_with_the_original() {
        dynamodb::OutboxOptions options;
        options.compat = true;
        options.ordered = false;
        return options;
    }

    dynamodb::Session session{*db};
    dynamodb::OutboxRepository events{outbox, session, topics()};
};

TEST_F(DynamoDbOutbox, rows_of_the_original_are_read_and_marked) {
    const std::vector<Item> rows = fixture("outbox.json");
    ASSERT_EQ(rows.size(), 6u);
    std::size_t dispatched = 0;
    for (const Item& row : rows) {
        put(outbox, row);
        const auto message = sync_wait(events.get(Uuid::parse(row.at("MessageId").text())));
        ASSERT_TRUE(message);
        EXPECT_EQ(message->payload, row.at("Message").text());
        EXPECT_EQ(message->topic, row.at("Topic").text());
        EXPECT_EQ(message->aggregate_id.str(), row.at("AggregateId").text());
        EXPECT_EQ(message->correlation_id.to_string(), row.at("CorrelationId").text());
        EXPECT_EQ(to_iso8601(message->created_at), row.at("CreatedAt").text());
        EXPECT_EQ(message->stored_at, message->created_at);
        EXPECT_EQ(message->is_dispatched(), row.at("IsDispatched").boolean());
        dispatched += message->is_dispatched();
    }
    EXPECT_EQ(dispatched, 1u);
    const auto pending = sync_wait(events.get_not_dispatched_messages());
    EXPECT_EQ(pending.size(), 5u);
    for (const StoredMessage& message : pending)
        sync_wait(events.mark_as_dispatched(message.message_id));
    EXPECT_TRUE(sync_wait(events.get_not_dispatched_messages()).empty());

    const auto marked = row(pending.front().message_id);
    for (const Item& row : rows) {
        if (row.at("IsDispatched").boolean()) {
            EXPECT_EQ(names_of(*marked), names_of(row));
        }
    }
    EXPECT_EQ(marked->at("ApproximateDispatchCount").integer(), 1);
    EXPECT_TRUE(marked->at("IsDispatched").boolean());

    const std::vector<Item> processed = fixture("inbox.json");
    put(inbox, processed.front());
    dynamodb::InboxRepository received{inbox, session};
    const auto known = sync_wait(received.get(Uuid::parse(processed.front().at("MessageId").text())));
    ASSERT_TRUE(known);
    EXPECT_EQ(known->created_at, parse_iso8601(processed.front().at("CreatedAt").text()));
}

TEST_F(DynamoDbOutbox, rows_beside_the_original_have_exactly_its_attributes) {
    dynamodb::OutboxRepository shared{outbox, session, topics(), shared_with_the_original()};
    StoredMessage message;
    message.message_id = new_uuid();
    message.aggregate_id = new_uuid();
    message.topic = "order--created";
    message.payload = R"({"note": "back\\slash \"smörgås\""})";
    message.created_at = parse_iso8601("2023-11-02T10:15:30Z");
    shared.publish(message);
    sync_wait(session.commit());
    const auto stored = row(message.message_id);
    const std::string id = message.message_id.to_string();
    const Item expected{{"PK", "MESSAGE#" + id},
                        {"MessageId", id},
                        {"AggregateId", message.aggregate_id},
                        {"CorrelationId", id},
                        {"Topic", "order--created"},
                        {"Message", message.payload},
                        {"CreatedAt", "2023-11-02T10:15:30+00:00"},
                        {"ApproximateDispatchCount", 0},
                        {"IsDispatched", false},
                        {"NotDispatched", "x"}};
    EXPECT_EQ(*stored, expected);
    for (const Item& theirs : fixture("outbox.json")) {
        if (!theirs.at("IsDispatched").boolean()) {
            EXPECT_EQ(names_of(*stored), names_of(theirs));
        }
    }

    Noted wrong;
    wrong.aggregate_id = "customer 7";
    const auto error = thrown_by<Error>([&] { shared.publish(wrong); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->message_id(), wrong.message_id);
    EXPECT_THAT(error->what(), testing::AllOf(HasSubstr("customer 7"), HasSubstr("UUID")));
}

TEST_F(DynamoDbOutbox, all_of_a_message_is_stored_and_read) {
    StoredMessage message;
    message.message_id = new_uuid();
    message.aggregate_id = "a \"quoted\" aggregate";
    message.correlation_id = new_uuid();
    message.topic = "orders";
    message.type = "order-created";
    message.payload = "{\"text\": \"\\u0001 \n \x01 smörgås 🙂\"}";
    message.headers = {{"trace", "a\"b"}, {"empty", ""}};
    message.created_at = parse_iso8601("2023-11-02T10:15:30.000001Z");
    events.publish(message);
    const Timestamp before = now();
    sync_wait(session.commit());
    const auto stored = sync_wait(events.get(message.message_id));
    ASSERT_TRUE(stored);
    EXPECT_GE(stored->stored_at, before);
    EXPECT_LE(stored->stored_at, now());
    message.stored_at = stored->stored_at;
    message.sequence = 1;
    EXPECT_EQ(*stored, message);
}

TEST_F(DynamoDbOutbox, marking_counts_and_an_unknown_id_is_told) {
    const Noted event;
    events.publish(event);
    sync_wait(session.commit());
    sync_wait(events.mark_as_dispatched(event.message_id));
    sync_wait(events.mark_as_dispatched(event.message_id));
    const auto message = sync_wait(events.get(event.message_id));
    EXPECT_TRUE(message->is_dispatched());
    EXPECT_EQ(message->approximate_dispatch_count, 2);
    ASSERT_TRUE(message->last_dispatched_at);
    const Uuid unknown = new_uuid();
    EXPECT_EQ(thrown_by<MessageNotFoundError>([&] { sync_wait(events.mark_as_dispatched(unknown)); })->message_id(),
              unknown);
    EXPECT_FALSE(row(unknown)) << "marking makes no row";
    EXPECT_FALSE(sync_wait(events.get(unknown)));
}

TEST_F(DynamoDbOutbox, a_dead_letter_that_is_marked_is_none_any_more_and_its_lane_goes_on) {
    for (const bool compat : {false, true}) {
        Noted event;
        event.aggregate_id = new_uuid();
        dynamodb::OutboxOptions options;
        options.compat = compat;
        dynamodb::OutboxRepository repository{outbox, session, topics(), options};
        repository.publish(event);
        sync_wait(session.commit());

        Item state = dynamodb::detail::message_state_key(event.message_id);
        state.insert({{"State", "dead"}, {"Attempts", 5}, {"Replays", 2}});
        Item lane = dynamodb::detail::lane_key(event.aggregate_id);
        lane.insert({{"Held", true}, {"MessageId", event.message_id}, {"FromSequence", 1}, {"Attempts", 5}});
        const Item letter = dynamodb::detail::dead_key(1, event.message_id);
        session.put(outbox + "-txm", state);
        session.put(outbox + "-txm", lane);
        session.put(outbox + "-txm", letter);
        if (!compat)
            session.update(outbox, dynamodb::detail::outbox_key(event.message_id), "set NotDispatched = :d",
                           {{":d", "d"}});
        sync_wait(session.commit());
        EXPECT_EQ(sync_wait(repository.get(event.message_id))->state, MessageState::dead);

        sync_wait(repository.mark_as_dispatched(event.message_id));
        const auto message = sync_wait(repository.get(event.message_id));
        EXPECT_TRUE(message->is_dispatched());
        EXPECT_EQ(message->approximate_dispatch_count, 1);
        EXPECT_EQ(message->attempts, 0);
        EXPECT_EQ(message->replays, 2);
        EXPECT_FALSE(item(outbox + "-txm", letter));
        const auto freed = item(outbox + "-txm", dynamodb::detail::lane_key(event.aggregate_id));
        ASSERT_TRUE(freed);
        EXPECT_FALSE(freed->contains("Held"));
        ASSERT_TRUE(freed->contains("NextAttemptAt"));
        const Timestamp due = parse_iso8601(freed->at("NextAttemptAt").text());
        EXPECT_TRUE(item(outbox + "-txm", dynamodb::detail::due_key(due, event.aggregate_id)));
    }
}

TEST_F(DynamoDbOutbox, the_state_table_tells_attempts_and_state) {
    const Noted parked, dead;
    events.publish(parked, dead);
    sync_wait(session.commit());
    const auto say = [&](const Noted& event, const char* state) {
        Item item = dynamodb::detail::message_state_key(event.message_id);
        item.insert({{"State", state}, {"Attempts", 3}, {"Replays", 1}});
        put(outbox + "-txm", item);
    };
    say(parked, "parked");
    say(dead, "dead");
    const auto message = sync_wait(events.get(parked.message_id));
    EXPECT_EQ(message->state, MessageState::parked);
    EXPECT_EQ(message->attempts, 3);
    EXPECT_EQ(message->replays, 1);
    EXPECT_EQ(sync_wait(events.get(dead.message_id))->state, MessageState::dead);
    const auto pending = sync_wait(events.get_not_dispatched_messages());
    ASSERT_EQ(pending.size(), 1u);
    EXPECT_EQ(pending.front().message_id, parked.message_id);
}

TEST_F(DynamoDbOutbox, without_a_state_table_messages_are_read_all_the_same) {
    const auto options = shared_with_the_original();
    Noted event;
    event.aggregate_id = new_uuid();
    dynamodb::OutboxRepository shared{outbox, session, topics(), options};
    shared.publish(event);
    sync_wait(session.commit());
    call("DeleteTable", R"({"TableName":")" + outbox + "-txm\"}");
    EXPECT_EQ(sync_wait(shared.get(event.message_id))->message_id, event.message_id);
    EXPECT_EQ(sync_wait(shared.get_not_dispatched_messages()).size(), 1u);
}

TEST_F(DynamoDbOutbox, reads_are_strongly_consistent) {
    FakeHttp server{[](const HttpRequest& request) {
        EXPECT_THAT(request.body, HasSubstr(R"("ConsistentRead":true)"));
        return HttpAnswer{};
    }};
    dynamodb::Database database{options_for(server.endpoint())};
    dynamodb::Session other{database};
    dynamodb::OutboxRepository repository{"outbox", other, topics()};
    dynamodb::InboxRepository received{"inbox", other};
    EXPECT_FALSE(sync_wait(repository.get(new_uuid())));
    EXPECT_FALSE(sync_wait(received.get(new_uuid())));
    EXPECT_FALSE(sync_wait(other.get("accounts", {{"PK", "a"}})));
    EXPECT_EQ(server.count(), 3u) << "a round trip each";
}

TEST_F(DynamoDbOutbox, not_dispatched_messages_come_oldest_first_whatever_their_offset) {
    Item row = fixture("outbox.json").front();
    const auto put_at = [&](const std::string& time) {
        const Uuid id = new_uuid();
        row.insert_or_assign("PK", "MESSAGE#" + id.to_string());
        row.insert_or_assign("MessageId", id);
        row.insert_or_assign("CreatedAt", time);
        put(outbox, row);
        return id;
    };
    const Uuid third = put_at("2023-11-02T09:00:00+00:00"), first = put_at("2023-11-02T09:30:00+02:00"),
               second = put_at("2023-11-02T08:00:00.5"), fourth = put_at("2023-11-02T07:00:00-04:00");
    std::vector<Uuid> order;
    for (const StoredMessage& message : sync_wait(events.get_not_dispatched_messages()))
        order.push_back(message.message_id);
    EXPECT_EQ(order, (std::vector<Uuid>{first, second, third, fourth}));
}

TEST_F(DynamoDbOutbox, not_dispatched_messages_of_more_than_a_page_are_all_read) {
    constexpr std::size_t messages = 130;
    Noted event;
    event.text = std::string(20'000, 'x');
    for (std::size_t i = 0; i < messages; ++i) {
        event.message_id = new_uuid();
        events.publish(event);
        if (i % 10 == 9)
            sync_wait(session.commit());
    }
    const auto pending = sync_wait(events.get_not_dispatched_messages());
    ASSERT_EQ(pending.size(), messages);
    for (std::size_t i = 1; i < pending.size(); ++i)
        EXPECT_LE(pending[i - 1].created_at, pending[i].created_at);
}

TEST_F(DynamoDbOutbox, a_row_that_cannot_be_read_is_named) {
    Item row = fixture("outbox.json").front();
    row.insert_or_assign("CreatedAt", "yesterday");
    put(outbox, row);
    const auto error = thrown_by<Error>([&] { sync_wait(events.get(Uuid::parse(row.at("MessageId").text()))); });
    EXPECT_EQ(error->code(), Errc::invalid_message);
    EXPECT_THAT(error->what(), testing::AllOf(HasSubstr("yesterday"), HasSubstr(row.at("MessageId").text())));
}

}  // namespace
}  // namespace txm::test
