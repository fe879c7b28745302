#include "dynamodb_session_fixture.hpp"
#include "support/fake_http.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

namespace txm::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class DynamoDbTables : public DynamoDbSession {
protected:
    std::string described(const std::string& table) {
        return call("DescribeTable", R"({"TableName":")" + table + "\"}");
    }
    std::string expiry(const std::string& table) {
        return call("DescribeTimeToLive", R"({"TableName":")" + table + "\"}");
    }
};

TEST_F(DynamoDbTables, an_outbox_has_its_indexes_its_stream_and_its_expiry) {
    const std::string text = described(outbox);
    EXPECT_THAT(text, AllOf(HasSubstr("CorrelationIdIndex"), HasSubstr("AggregateIdIndex"),
                            HasSubstr("NotDispatchedMessagesIndex"), HasSubstr("NEW_AND_OLD_IMAGES"),
                            HasSubstr("PAY_PER_REQUEST")));
    EXPECT_THAT(expiry(outbox), AllOf(HasSubstr("ExpiresAt"), HasSubstr("ENABLED")));
    EXPECT_THAT(expiry(inbox), AllOf(HasSubstr("ExpiresAt"), HasSubstr("ENABLED")));
    EXPECT_THAT(expiry(outbox + "-txm"), AllOf(HasSubstr("ExpiresAt"), HasSubstr("ENABLED")));
    EXPECT_THAT(described(outbox + "-txm"), HasSubstr("RANGE"));

    // Once more: nothing to do.
    sync_wait(dynamodb::create_outbox_table(*db, outbox));
    sync_wait(dynamodb::create_inbox_table(*db, inbox));
}

TEST_F(DynamoDbTables, a_state_table_may_have_another_name) {
    sync_wait(dynamodb::create_outbox_table(*db, "other-" + suffix, "state-" + suffix));
    EXPECT_THAT(described("state-" + suffix), HasSubstr("SK"));
    thrown_by<Error>([&] { described("other-" + suffix + "-txm"); });
}

TEST_F(DynamoDbTables, an_existing_table_is_checked_and_not_touched) {
    const std::string before = described(accounts);
    const auto error = thrown_by<Error>([&] { sync_wait(dynamodb::create_outbox_table(*db, accounts)); });
    EXPECT_EQ(error->code(), Errc::invalid_configuration);
    EXPECT_THAT(
        error->what(),
        AllOf(HasSubstr(accounts), HasSubstr("CorrelationIdIndex"), HasSubstr("AggregateIdIndex"),
              HasSubstr("NotDispatchedMessagesIndex with the hash key NotDispatched and the range key CreatedAt")));
    sync_wait(dynamodb::create_inbox_table(*db, accounts));  // it happens to look like one
    EXPECT_EQ(described(accounts), before);
    EXPECT_THAT(expiry(accounts), HasSubstr("DISABLED"));

    create_table("ranged-" + suffix, {"Id", "Sort"});
    EXPECT_THAT(thrown_by<Error>([&] { sync_wait(dynamodb::create_inbox_table(*db, "ranged-" + suffix)); })->what(),
                HasSubstr("has the hash key Id and the range key Sort instead of the hash key PK"));
}

TEST_F(DynamoDbTables, every_difference_is_named) {
    FakeHttp server{[](const HttpRequest&) {
        return HttpAnswer{
            200,
            R"({"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"PK","KeyType":"HASH"}],)"
            R"("AttributeDefinitions":[{"AttributeName":"PK","AttributeType":"B"}],"GlobalSecondaryIndexes":[)"
            R"({"IndexName":"CorrelationIdIndex","KeySchema":[{"AttributeName":"CorrelationId","KeyType":"HASH"}],)"
            R"("Projection":{"ProjectionType":"KEYS_ONLY"}},)"
            R"({"IndexName":"AggregateIdIndex","KeySchema":[{"AttributeName":"Topic","KeyType":"HASH"}],)"
            R"("Projection":{"ProjectionType":"ALL"}}],)"
            R"("StreamSpecification":{"StreamEnabled":true,"StreamViewType":"KEYS_ONLY"},)"
            R"("Replicas":[{"RegionName":"us-east-1"}]}})"};
    }};
    dynamodb::Database database{options_for(server.endpoint())};
    const auto error = thrown_by<Error>([&] { sync_wait(dynamodb::create_outbox_table(database)); });
    EXPECT_THAT(error->what(),
                AllOf(HasSubstr("PK is of type B"), HasSubstr("CorrelationIdIndex projects KEYS_ONLY"),
                      HasSubstr("AggregateIdIndex has the hash key Topic"), HasSubstr("NotDispatchedMessagesIndex"),
                      HasSubstr("KEYS_ONLY instead of NEW_AND_OLD_IMAGES"), HasSubstr("replicas")));
    for (const HttpRequest& request : server.requests())
        EXPECT_THAT(request.header("x-amz-target"), HasSubstr("Describe"));
}

TEST_F(DynamoDbTables, replicas_are_taken_in_the_home_region_alone) {
    FakeHttp server{[](const HttpRequest& request) {
        if (request.header("x-amz-target").find("TimeToLive") != std::string::npos)
            return HttpAnswer{200, R"({"TimeToLiveDescription":{"TimeToLiveStatus":"ENABLED"}})"};
        return HttpAnswer{200,
                          R"({"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"PK","KeyType":"HASH"}],)"
                          R"("Replicas":[{"RegionName":"us-east-1"}]}})"};
    }};
    dynamodb::DatabaseOptions options = options_for(server.endpoint());
    dynamodb::Database anywhere{options};
    const auto error = thrown_by<Error>([&] { sync_wait(dynamodb::create_inbox_table(anywhere)); });
    EXPECT_EQ(error->code(), Errc::invalid_configuration);
    EXPECT_THAT(error->what(), AllOf(HasSubstr("has replicas in other regions"), HasSubstr("home_region")));

    options.home_region = options.client.region;
    dynamodb::Database at_home{options};
    sync_wait(dynamodb::create_inbox_table(at_home));

    options.home_region = "us-east-1";
    EXPECT_THAT(thrown_by<Error>([&] { const dynamodb::Database elsewhere(options); })->what(),
                HasSubstr("the home region of these tables is us-east-1, and this process works in eu-west-1"));
}

TEST_F(DynamoDbTables, a_table_that_is_being_made_is_waited_for) {
    const std::string keys = R"("KeySchema":[{"AttributeName":"PK","KeyType":"HASH"}])";
    FakeHttp server{
        FakeHttp::in_turn({HttpAnswer{400, R"({"__type":"x#ResourceNotFoundException","message":"no"})"}, HttpAnswer{},
                           HttpAnswer{200, R"({"Table":{"TableStatus":"CREATING",)" + keys + "}}"},
                           HttpAnswer{200, R"({"Table":{"TableStatus":"ACTIVE",)" + keys + "}}"}, HttpAnswer{}})};
    dynamodb::Database database{options_for(server.endpoint())};
    sync_wait(dynamodb::create_inbox_table(database));
    ASSERT_EQ(server.count(), 5u);
    EXPECT_THAT(server.requests().back().header("x-amz-target"), HasSubstr("UpdateTimeToLive"));
}

// A process that was killed after it had made the tables, before it had told them to expire.
TEST_F(DynamoDbTables, what_a_killed_process_made_expires_after_all) {
    const std::string state = outbox + "-txm";
    const auto stop_expiry = [&](const std::string& table) {
        call("UpdateTimeToLive", R"({"TableName":")" + table +
                                     R"(","TimeToLiveSpecification":{"Enabled":false,"AttributeName":"ExpiresAt"}})");
    };
    stop_expiry(outbox);
    stop_expiry(state);
    sync_wait(dynamodb::create_outbox_table(*db, outbox));
    EXPECT_THAT(expiry(outbox), HasSubstr("DISABLED")) << "somebody may have wanted that";
    EXPECT_THAT(expiry(state), HasSubstr("ENABLED"));

    call("PutItem",
         R"({"TableName":")" + state + R"(","Item":{"PK":{"S":"META"},"SK":{"S":"MAKING#)" + outbox + R"("}}})");
    sync_wait(dynamodb::create_outbox_table(*db, outbox));
    EXPECT_THAT(expiry(outbox), HasSubstr("ENABLED"));
    EXPECT_EQ(count(state), 0U) << "what was kept in mind is done";
}

TEST_F(DynamoDbTables, that_an_outbox_is_being_made_is_written_down_before) {
    std::vector<std::string> steps;
    FakeHttp server{[&](const HttpRequest& request) {
        const std::string target = request.header("x-amz-target").substr(std::string("DynamoDB_20120810.").size());
        const bool is_state = request.body.find("-txm\"") != std::string::npos;
        if (target != "DescribeTable")
            steps.push_back(target + (is_state ? " state" : " outbox"));
        const bool is_made =
            std::ranges::find(steps, is_state ? "CreateTable state" : "CreateTable outbox") != steps.end();
        if (target == "DescribeTable" && !is_made)
            return HttpAnswer{400, R"({"__type":"x#ResourceNotFoundException","message":"no"})"};
        const std::string range = is_state ? R"(,{"AttributeName":"SK","KeyType":"RANGE"})" : "";
        const std::string index = R"({"IndexName":"%1","KeySchema":[{"AttributeName":"%2","KeyType":"HASH"}%3],)"
                                  R"("Projection":{"ProjectionType":"ALL"}})";
        std::string indexes;
        for (const auto& [name, hash, rest] :
             {std::tuple{"CorrelationIdIndex", "CorrelationId", ""}, std::tuple{"AggregateIdIndex", "AggregateId", ""},
              std::tuple{"NotDispatchedMessagesIndex", "NotDispatched",
                         R"(,{"AttributeName":"CreatedAt","KeyType":"RANGE"})"}}) {
            std::string one = index;
            one.replace(one.find("%1"), 2, name);
            one.replace(one.find("%2"), 2, hash);
            one.replace(one.find("%3"), 2, rest);
            indexes += (indexes.empty() ? "" : ",") + one;
        }
        return HttpAnswer{
            200, R"({"Table":{"TableStatus":"ACTIVE","KeySchema":[{"AttributeName":"PK","KeyType":"HASH"})" + range +
                     R"(],"GlobalSecondaryIndexes":[)" + indexes + "]}}"};
    }};
    dynamodb::Database database{options_for(server.endpoint())};
    sync_wait(dynamodb::create_outbox_table(database));
    EXPECT_THAT(steps,
                testing::ElementsAre("CreateTable state", "UpdateTimeToLive state", "TransactWriteItems state",
                                     "CreateTable outbox", "UpdateTimeToLive outbox", "TransactWriteItems state"));
}

TEST_F(DynamoDbTables, names_follow_the_rule_of_the_service) {
    for (const char* wrong : {"ab", "with blank", "quote\"", ""})
        EXPECT_THROW(sync_wait(dynamodb::create_inbox_table(*db, wrong)), std::invalid_argument) << wrong;
    dynamodb::Session session{*db};
    EXPECT_THROW((dynamodb::InboxRepository{"a b", session}), std::invalid_argument);
    EXPECT_THROW((dynamodb::OutboxRepository{"ab", session, topics()}), std::invalid_argument);
}

TEST_F(DynamoDbTables, their_description_is_given_as_text) {
    const std::string formation = dynamodb::schema("cloudformation", "orders.outbox", "orders-inbox");
    EXPECT_THAT(formation,
                AllOf(HasSubstr("OrdersOutboxTable:"), HasSubstr("TableName: orders.outbox-txm"),
                      HasSubstr("TableName: orders-inbox"), HasSubstr("IndexName: NotDispatchedMessagesIndex"),
                      HasSubstr("StreamViewType: NEW_AND_OLD_IMAGES")));
    const std::string terraform = dynamodb::schema("terraform", "orders.outbox", "orders-inbox");
    EXPECT_THAT(terraform, AllOf(HasSubstr("\"aws_dynamodb_table\" \"orders_outbox\""),
                                 HasSubstr("name         = \"orders.outbox-txm\""),
                                 HasSubstr("name            = \"NotDispatchedMessagesIndex\"")));
    EXPECT_THROW(dynamodb::schema("sql", "outbox", "inbox"), std::invalid_argument);
}

}  // namespace
}  // namespace txm::test
