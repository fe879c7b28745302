#include "dynamodb_session_fixture.hpp"

#include <chrono>
#include <string>

namespace txm::test {
namespace {

using namespace std::chrono_literals;

class DynamoDbInbox : public DynamoDbSession {
protected:
    void save(const Incoming& incoming, dynamodb::InboxOptions options = {}) {
        dynamodb::Session session{*db};
        dynamodb::InboxRepository received{inbox, session, std::move(options)};
        received.save(incoming);
        sync_wait(session.commit());
    }

    std::optional<ProcessedMessage> get(const Incoming& incoming) {
        dynamodb::Session session{*db};
        dynamodb::InboxRepository received{inbox, session};
        return sync_wait(received.get(incoming));
    }

    std::optional<dynamodb::Item> row_of(const Uuid& id, const std::string& consumer = "") {
        return item(inbox, {{"PK", "MESSAGE#" + id.to_string() + (consumer.empty() ? "" : "#" + consumer)}});
    }

    void put_dead(const Uuid& id) {
        dynamodb::Session session{*db};
        session.put(inbox,
                    {{"PK", "MESSAGE#" + id.to_string()}, {"MessageId", id}, {"CreatedAt", now()}, {"State", "dead"}});
        sync_wait(session.commit());
    }
};

TEST_F(DynamoDbInbox, a_row_has_the_layout_of_the_original) {
    const Uuid id = new_uuid();
    save(id);
    const auto row = row_of(id);
    ASSERT_TRUE(row);
    EXPECT_EQ(row->size(), 3u) << "PK, MessageId, CreatedAt and nothing else";
    EXPECT_EQ(row->at("MessageId").text(), id.to_string());
    EXPECT_EQ(get(id)->created_at, parse_iso8601(row->at("CreatedAt").text()));
}

TEST_F(DynamoDbInbox, what_a_delivery_knows_goes_into_the_row) {
    const Uuid id = new_uuid();
    const Timestamp stored_at = now() - 1h;
    dynamodb::InboxOptions options{"billing"};
    options.retention = 24h;
    save(Incoming{id, "", stored_at, 18'446'744'073'709'551'615U}, options);
    const auto row = row_of(id, "billing");
    ASSERT_TRUE(row);
    EXPECT_EQ(row->at("StoredAt").text(), to_iso8601(stored_at));
    const auto decided = std::chrono::floor<std::chrono::seconds>(parse_iso8601(row->at("CreatedAt").text()));
    EXPECT_GE(row->at("ExpiresAt").integer(), (decided + 24h).time_since_epoch().count());
    const auto known = get(Incoming{id, "billing"});
    ASSERT_TRUE(known);
    EXPECT_EQ(known->payload_hash, 18'446'744'073'709'551'615U);
    EXPECT_FALSE(get(id)) << "it is another consumer's";
    save(id);                                 // the unnamed consumer is another one
    save(Incoming{id, "shipping"}, options);  // the delivery's consumer wins
    EXPECT_TRUE(row_of(id, "shipping"));
}

TEST_F(DynamoDbInbox, saved_twice_in_one_transaction_it_is_one_row) {
    const Uuid id = new_uuid();
    dynamodb::Session session{*db};
    dynamodb::InboxRepository received{inbox, session};
    received.save(id);
    received.save(id);
    EXPECT_EQ(session.staged(), Staged::inbox_only);
    sync_wait(session.commit());
    EXPECT_EQ(count(inbox), 1u);
}

TEST_F(DynamoDbInbox, a_replay_turns_a_dead_letter_into_a_processed_message) {
    const Uuid id = new_uuid();
    put_dead(id);
    EXPECT_EQ(get(id)->state, InboxState::dead);
    thrown_by<MessageAlreadyProcessedError>([&] { save(id); });
    Incoming replay{id};
    replay.replay = true;
    save(replay);
    EXPECT_EQ(get(id)->state, InboxState::processed);
    thrown_by<MessageAlreadyProcessedError>([&] { save(replay); });

    Incoming unknown{new_uuid()};
    unknown.replay = true;
    save(unknown);
    EXPECT_TRUE(get(unknown.message_id));
}

TEST_F(DynamoDbInbox, what_is_older_than_the_inbox_remembers_is_refused) {
    dynamodb::InboxOptions options;
    options.retention = 24h;
    const Incoming old{new_uuid(), "", now() - 23h - 1min};
    EXPECT_EQ(thrown_by<OutsideInboxWindowError>([&] { save(old, options); })->message_id(), old.message_id);
    EXPECT_FALSE(row_of(old.message_id));
    save(Incoming{new_uuid(), "", now() - 22h}, options);
    save(Incoming{new_uuid()}, options);  // when it was stored is not known

    // One that it does remember is a duplicate like any other.
    save(old);
    thrown_by<MessageAlreadyProcessedError>([&] { save(old, options); });

    Incoming replay = old;
    replay.replay = true;
    thrown_by<MessageAlreadyProcessedError>([&] { save(replay, options); });
    replay.message_id = new_uuid();
    thrown_by<OutsideInboxWindowError>([&] { save(replay, options); });
    put_dead(replay.message_id);
    save(replay, options);
    EXPECT_EQ(get(replay)->state, InboxState::processed);
}

}  // namespace
}  // namespace txm::test
