#include "dynamodb_session_fixture.hpp"
#include "support/fake_http.hpp"

#include <gmock/gmock.h>

#include <stdexcept>
#include <string>

// What DynamoDB would refuse is told in one clear sentence, before anything is sent.

namespace txm::test {
namespace {

using dynamodb::Write;
using testing::HasSubstr;

class DynamoDbLimits : public DynamoDbSession {
protected:
    /// The sentence that a commit is refused with before a TransactWriteItems is sent.
    std::string refused_before_sending(const std::function<void(dynamodb::Session&)>& stage) {
        FakeHttp silent{[](const HttpRequest& request) {
            EXPECT_THAT(request.header("x-amz-target"), testing::Not(HasSubstr("Transact")));
            return HttpAnswer{200, R"({"Table":{"KeySchema":[{"AttributeName":"PK","KeyType":"HASH"},)"
                                   R"({"AttributeName":"SK","KeyType":"RANGE"}]}})"};
        }};
        dynamodb::Database database{options_for(silent.endpoint())};
        dynamodb::Session session{database};
        stage(session);
        const auto error = thrown_by<Error>([&] { sync_wait(session.commit()); });
        EXPECT_EQ(session.staged(), Staged::nothing);
        return error ? error->what() : "";
    }

    static std::string put(const std::string& table, const std::string& key, const std::string& range) {
        return R"({"Put":{"TableName":")" + table + R"(","Item":{"PK":{"S":")" + key + R"("},"SK":{"S":")" + range +
               R"("},"n":{"N":"1"}}}})";
    }
};

TEST_F(DynamoDbLimits, a_hundred_elements_are_taken_and_one_more_is_not) {
    const auto stage = [&](dynamodb::Session& session, dynamodb::OutboxRepository& events,
                           dynamodb::InboxRepository& received, int rows) {
        received.save(new_uuid());
        events.publish(Noted{}, Noted{});  // two messages and a counter
        for (int i = 0; i < rows; ++i)
            session.put(accounts, {{"PK", std::to_string(i)}});
    };
    dynamodb::Session session{*db};
    dynamodb::OutboxRepository events{outbox, session, topics()};
    dynamodb::InboxRepository received{inbox, session};
    stage(session, events, received, 97);
    const auto error = thrown_by<Error>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(error->code(), Errc::statement_failed);
    EXPECT_THAT(error->what(), HasSubstr("101 elements"));
    EXPECT_THAT(error->what(), HasSubstr("1 counters"));
    EXPECT_EQ(count(outbox), 0u);

    stage(session, events, received, 96);
    sync_wait(session.commit());
    EXPECT_EQ(count(accounts), 96u);
}

TEST_F(DynamoDbLimits, an_item_over_400_kB) {
    EXPECT_THAT(refused_before_sending([](dynamodb::Session& session) {
                    session.put("accounts", {{"PK", "a"}, {"SK", "b"}, {"data", std::string(410'000, 'x')}});
                }),
                testing::AllOf(HasSubstr("accounts"), HasSubstr("400 kB")));
    // Escapes make the text longer, not the item.
    dynamodb::Session session{*db};
    session.put(accounts, {{"PK", "a"}, {"data", std::string(400'000, '"')}});
    sync_wait(session.commit());
    EXPECT_EQ(account("a")->at("data").text().size(), 400'000u);
}

// It could be published, but its lane could not be parked.
TEST_F(DynamoDbLimits, names_that_no_key_holds_are_refused_when_they_are_published) {
    dynamodb::Session session{*db};
    dynamodb::OutboxRepository events{outbox, session, topics()};
    std::vector<StoredMessage> messages(1);
    messages[0].message_id = new_uuid();
    messages[0].topic = "notes";
    messages[0].aggregate_id = std::string(896, 'a');
    const auto error = thrown_by<Error>([&] { events.publish(messages); });
    EXPECT_EQ(error->code(), Errc::invalid_message);
    EXPECT_THAT(error->what(), HasSubstr("900"));
    messages[0].aggregate_id = std::string(895, 'a');
    events.publish(messages);
    sync_wait(session.commit());
}

TEST_F(DynamoDbLimits, a_message_over_400_kB_is_refused_when_it_is_published) {
    dynamodb::Session session{*db};
    dynamodb::OutboxRepository events{outbox, session, topics()};
    Noted large, small;
    large.text = std::string(409'500, 'x');
    const auto error = thrown_by<Error>([&] { events.publish(small, large); });
    EXPECT_EQ(error->code(), Errc::invalid_message);
    EXPECT_EQ(error->message_id(), large.message_id);
    EXPECT_THAT(error->what(), HasSubstr("400 kB"));
    EXPECT_EQ(session.staged(), Staged::nothing) << "all of a call or none";
    large.text = std::string(409'000, '\\');
    events.publish(large);
    sync_wait(session.commit());
    EXPECT_EQ(sync_wait(events.get(large.message_id))->payload, large.text);
}

TEST_F(DynamoDbLimits, more_than_4_MB) {
    EXPECT_THAT(
        refused_before_sending([](dynamodb::Session& session) {
            for (int i = 0; i < 12; ++i)
                session.put("accounts", {{"PK", "a"}, {"SK", std::to_string(i)}, {"data", std::string(380'000, 'x')}});
        }),
        HasSubstr("4 MB"));
}

TEST_F(DynamoDbLimits, two_writes_to_one_item) {
    const dynamodb::Item key{{"PK", "a"}, {"SK", "b"}};
    const auto expect_twice = [&](const std::function<void(dynamodb::Session&)>& stage) {
        EXPECT_THAT(refused_before_sending(stage),
                    testing::AllOf(HasSubstr("twice"), HasSubstr(R"("PK":{"S":"a"})"), HasSubstr("`accounts`")));
    };
    expect_twice([&](auto& session) {
        session.update("accounts", key, "set n = :n", {{":n", 1}});
        session.remove("accounts", key);
    });
    expect_twice([&](auto& session) {
        session.put("accounts", {{"PK", "a"}, {"SK", "b"}, {"n", 1}});
        session.put("accounts", {{"PK", "a"}, {"SK", "b"}, {"n", 2}});
    });
    expect_twice([&](auto& session) {
        session.add(Write::raw(put("accounts", "a", "b")));
        session.add(Write::check("accounts", key).when("attribute_exists(PK)"));
    });
    expect_twice([&](auto& session) {
        session.add(Write::raw(put("accounts", "a", "b")));
        session.add(Write::raw(put("accounts", "a", "b")));
    });
    EXPECT_THAT(refused_before_sending([](auto& session) {
                    const Noted event;
                    dynamodb::OutboxRepository events{"outbox", session, topics()};
                    events.publish(event);
                    events.publish(event);
                }),
                HasSubstr("twice"));
}

TEST_F(DynamoDbLimits, other_items_of_one_table_are_no_conflict) {
    create_table("ranged-" + suffix, {"PK", "Sort"});
    dynamodb::Session session{*db};
    for (const char* range : {"1", "2"})
        session.put("ranged-" + suffix, {{"PK", "a"}, {"Sort", range}, {"SK", "x"}});
    sync_wait(session.commit());
    EXPECT_EQ(count("ranged-" + suffix), 2u);
}

TEST_F(DynamoDbLimits, what_the_service_refuses_itself_is_one_clear_sentence_too) {
    dynamodb::Session session{*db};
    session.update(accounts, {{"PK", "a"}}, "no expression", {{":n", 1}});
    const auto invalid = thrown_by<Error>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(invalid->code(), Errc::statement_failed);
    EXPECT_THAT(invalid->what(), HasSubstr("UpdateExpression"));

    session.update(accounts, {{"Id", "a"}}, "set n = :n", {{":n", 1}});
    const auto wrong_key = thrown_by<Error>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(wrong_key->code(), Errc::statement_failed);
    EXPECT_THAT(wrong_key->what(), HasSubstr("key"));
}

TEST_F(DynamoDbLimits, a_missing_table_is_named) {
    dynamodb::Session session{*db};
    session.put(accounts, {{"PK", "a"}});
    session.put("nowhere", {{"PK", "a"}});
    const auto missing = thrown_by<Error>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(missing->code(), Errc::schema_missing);
    EXPECT_THAT(missing->what(), testing::AllOf(HasSubstr("`nowhere`"), HasSubstr("txm migrate")));
    EXPECT_THAT(missing->what(), testing::Not(HasSubstr(accounts)));
    EXPECT_FALSE(account("a"));

    dynamodb::InboxRepository received{"no-inbox", session};
    EXPECT_THAT(thrown_by<Error>([&] { sync_wait(received.get(new_uuid())); })->what(), HasSubstr("`no-inbox`"));
}

}  // namespace
}  // namespace txm::test
