#include "dynamodb_session_fixture.hpp"

#include <gmock/gmock.h>

#include <stdexcept>
#include <string>

namespace txm::test {
namespace {

using dynamodb::Write;
using testing::HasSubstr;

struct CreditExceeded : std::runtime_error {
    explicit CreditExceeded(std::string account) : std::runtime_error(account + " has not that much"), id(account) {}
    std::string id;
};

TEST_F(DynamoDbSession, domain_inbox_and_outbox_are_one_transaction) {
    set_credit("a", 100);
    const Uuid incoming = new_uuid();
    const Noted event;
    dynamodb::Session session{*db};
    dynamodb::InboxRepository received{inbox, session};
    dynamodb::OutboxRepository events{outbox, session, topics()};
    sync_wait(ensure_idempotence(incoming, received));
    session.update(accounts, {{"PK", "a"}}, "set credit = credit - :n", {{":n", 80}});
    events.publish(event);
    EXPECT_EQ(session.staged(), Staged::writes);
    EXPECT_EQ(count(inbox), 0u) << "staging writes nothing";
    sync_wait(session.commit());

    EXPECT_EQ(session.staged(), Staged::nothing);
    EXPECT_EQ(account("a")->at("credit").integer(), 20);
    const auto processed = sync_wait(received.get(incoming));
    ASSERT_TRUE(processed);
    EXPECT_EQ(processed->state, InboxState::processed);
    const auto stored = sync_wait(events.get(event.message_id));
    ASSERT_TRUE(stored);
    EXPECT_EQ(stored->topic, "notes");
    EXPECT_EQ(stored->type, "noted");
    EXPECT_EQ(stored->correlation_id, event.message_id);
    EXPECT_EQ(stored->created_at, event.created_at);
    EXPECT_EQ(stored->sequence, 1);
    EXPECT_EQ(stored->state, MessageState::pending);

    dynamodb::Session again{*db};
    dynamodb::InboxRepository same{inbox, again};
    const auto refused =
        thrown_by<MessageAlreadyProcessedError>([&] { sync_wait(ensure_idempotence(incoming, same)); });
    EXPECT_EQ(refused->message_id(), incoming);
}

TEST_F(DynamoDbSession, a_failed_condition_writes_nothing_and_throws_its_error) {
    set_credit("a", 50);
    dynamodb::Session session{*db};
    dynamodb::OutboxRepository events{outbox, session, topics()};
    const auto reserve = [&](int amount) {
        session.add(Write::update(accounts, {{"PK", "a"}}, "set credit = credit - :n")
                        .values({{":n", amount}})
                        .when("credit >= :n", CreditExceeded{"a"}));
        events.publish(Noted{});
        sync_wait(session.commit());
    };
    EXPECT_EQ(thrown_by<CreditExceeded>([&] { reserve(80); })->id, "a");
    EXPECT_EQ(count(outbox), 0u);
    EXPECT_EQ(account("a")->at("credit").integer(), 50);

    // What the forgotten failure leaves behind is no success.
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(session.commit()); })->code(), Errc::commit_failed_before);
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(session.commit()); })->code(), Errc::commit_failed_before);
    reserve(30);
    EXPECT_EQ(account("a")->at("credit").integer(), 20);
    EXPECT_EQ(count(outbox), 1u);
}

TEST_F(DynamoDbSession, the_first_failed_condition_decides_even_without_an_error_of_its_own) {
    set_credit("a", 1);
    dynamodb::Session session{*db};
    session.add(Write::check(accounts, {{"PK", "nobody"}}).when("attribute_exists(PK)"));
    session.add(Write::update(accounts, {{"PK", "a"}}, "set credit = :z")
                    .values({{":z", 0}})
                    .when("credit = :z", CreditExceeded{"a"}));
    const auto error = thrown_by<Error>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(error->code(), Errc::unexpected_rows);
    EXPECT_TRUE(error->retryable());
    EXPECT_THAT(error->what(), HasSubstr("nobody"));
    EXPECT_THAT(error->what(), HasSubstr(accounts));
}

TEST_F(DynamoDbSession, an_error_names_the_duplicate_that_it_is) {
    const Noted event;
    const Uuid incoming = new_uuid();
    const auto commit = [&](bool saves, bool publishes, const std::string& user_condition) {
        dynamodb::Session session{*db};
        dynamodb::InboxRepository received{inbox, session};
        dynamodb::OutboxRepository events{outbox, session, topics()};
        session.add(Write::put(accounts, {{"PK", "a"}}).when(user_condition, CreditExceeded{"a"}));
        if (publishes)
            events.publish(event);
        if (saves)
            received.save(incoming);
        sync_wait(session.commit());
    };
    commit(true, true, "attribute_not_exists(PK)");
    thrown_by<CreditExceeded>([&] { commit(false, false, "attribute_not_exists(PK)"); });
    // The first delivery made the condition false: the second one is a duplicate all the same.
    EXPECT_EQ(
        thrown_by<MessageAlreadyProcessedError>([&] { commit(true, false, "attribute_not_exists(PK)"); })->message_id(),
        incoming);
    EXPECT_EQ(
        thrown_by<MessageAlreadyPublishedError>([&] { commit(false, true, "attribute_exists(PK)"); })->message_id(),
        event.message_id);
    EXPECT_EQ(count(outbox), 1u);
}

TEST_F(DynamoDbSession, other_content_under_a_known_id_is_told) {
    const Uuid id = new_uuid();
    const auto save = [&](const std::string& payload) {
        dynamodb::Session session{*db};
        dynamodb::InboxRepository received{inbox, session};
        received.save(Incoming{id, "billing", now(), payload_hash(payload)});
        sync_wait(session.commit());
    };
    save("one");
    EXPECT_FALSE(thrown_by<MessageAlreadyProcessedError>([&] { save("one"); })->content_differs());
    EXPECT_TRUE(thrown_by<MessageAlreadyProcessedError>([&] { save("two"); })->content_differs());
    EXPECT_TRUE(item(inbox, {{"PK", "MESSAGE#" + id.to_string() + "#billing"}}));
}

TEST_F(DynamoDbSession, every_kind_of_write_and_value_arrives) {
    dynamodb::Session session{*db};
    const dynamodb::Item all_types{{"PK", "a"},
                                   {"null", {}},
                                   {"bool", true},
                                   {"number", dynamodb::Attribute::Number{"12345678901234567890.5"}},
                                   {"text", "\"quoted\" \\ \n smörgås \x01"},
                                   {"bytes", Blob{std::byte{0}, std::byte{255}, std::byte{7}, std::byte{1}}},
                                   {"list", dynamodb::Attribute::List{1, "two", false}},
                                   {"map", dynamodb::Item{{"inner", 0.25}}},
                                   {"texts", dynamodb::Attribute::StringSet{{"x", "y"}}},
                                   {"numbers", dynamodb::Attribute::NumberSet{{"1", "2"}}},
                                   {"blobs", dynamodb::Attribute::BinarySet{{Blob{std::byte{3}}}}}};
    session.put(accounts, all_types);
    session.put(accounts, {{"PK", "gone"}});
    sync_wait(session.commit());
    const auto stored = account("a");
    ASSERT_TRUE(stored);
    for (const auto& [name, value] : all_types) {
        if (name != "texts" && name != "numbers") {  // in any order
            EXPECT_EQ(stored->at(name), value) << name;
        }
    }

    session.remove(accounts, {{"PK", "gone"}});
    session.add(Write::check(accounts, {{"PK", "a"}}).names({{"#b", "bool"}}).values({{":t", true}}).when("#b = :t"));
    session.add(Write::raw(R"({"Put":{"TableName":")" + accounts + R"(","Item":{"PK":{"S":"raw"}}}})"));
    session.add(Write::update(accounts, {{"PK", "new"}}, "set #n = :v").names({{"#n", "name"}}).values({{":v", "x"}}));
    sync_wait(session.commit());
    EXPECT_FALSE(account("gone"));
    EXPECT_TRUE(account("raw"));
    EXPECT_EQ(account("new")->at("name").text(), "x");
    EXPECT_EQ(sync_wait(session.get(accounts, {{"PK", "new"}}))->at("name").text(), "x");
    EXPECT_FALSE(sync_wait(session.get(accounts, {{"PK", "nobody"}})));
}

TEST_F(DynamoDbSession, a_raw_write_throws_its_error) {
    dynamodb::Session session{*db};
    session.add(Write::raw(R"({"Delete":{"TableName":")" + accounts +
                           R"-(","Key":{"PK":{"S":"a"}},"ConditionExpression":"attribute_exists(PK)"}})-")
                    .when("", CreditExceeded{"a"}));
    thrown_by<CreditExceeded>([&] { sync_wait(session.commit()); });
    thrown_by<std::invalid_argument>([&] { session.add(Write::raw("{")); });
    thrown_by<std::invalid_argument>([&] { session.add(Write::raw("[]")); });
    thrown_by<std::invalid_argument>([&] { session.add(Write::raw("{}").when("a = b")); });
    thrown_by<std::invalid_argument>([&] { session.add(Write::check(accounts, {{"PK", "a"}})); });
    thrown_by<std::invalid_argument>([&] { session.put("no", {{"PK", "a"}}); });
}

TEST_F(DynamoDbSession, destroyed_or_rolled_back_it_writes_nothing) {
    {
        dynamodb::Session session{*db};
        session.put(accounts, {{"PK", "a"}});
    }
    dynamodb::Session session{*db};
    session.put(accounts, {{"PK", "b"}});
    session.rollback();
    EXPECT_EQ(session.staged(), Staged::nothing);
    sync_wait(session.commit());  // nothing to do
    EXPECT_EQ(count(accounts), 0u);
}

TEST_F(DynamoDbSession, a_query_reads_all_pages) {
    create_table("big-" + suffix, {"PK", "SK"});
    dynamodb::Session session{*db};
    const std::string large(300'000, 'x');
    for (int i = 0; i < 9; ++i) {
        session.put("big-" + suffix, {{"PK", "a"}, {"SK", std::to_string(i)}, {"data", large}});
        sync_wait(session.commit());
    }
    dynamodb::Query query{"big-" + suffix, "PK = :a", {{":a", "a"}}};
    EXPECT_EQ(sync_wait(session.query(query)).size(), 9u);
    query.limit = 7;
    query.forward = false;
    const auto last = sync_wait(session.query(query));
    ASSERT_EQ(last.size(), 7u);
    EXPECT_EQ(last.front().at("SK").text(), "8");
}

}  // namespace
}  // namespace txm::test
