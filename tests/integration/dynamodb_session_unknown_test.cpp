#include "dynamodb_session_fixture.hpp"
#include "support/fake_http.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <set>
#include <string>

// Answers that are lost, late or strange: what DynamoDB Local never gives.

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using dynamodb::Write;
using testing::HasSubstr;

struct CreditExceeded : std::runtime_error {
    CreditExceeded() : std::runtime_error("not that much") {}
};

HttpAnswer refusal(const std::string& type, const std::string& message = "no") {
    return HttpAnswer{400,
                      R"({"__type":"com.amazonaws.dynamodb.v20120810#)" + type + R"(","message":")" + message + "\"}"};
}

/// @param reasons JSON objects, or bare codes
HttpAnswer cancelled(const std::vector<std::string>& reasons) {
    std::string list;
    for (const std::string& reason : reasons) {
        list += list.empty() ? "" : ",";
        list += reason.starts_with('{') ? reason : R"({"Code":")" + reason + "\"}";
    }
    return HttpAnswer{
        400, R"({"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"cancelled",)"
             R"("CancellationReasons":[)" +
                 list + "]}"};
}

std::string token_of(const HttpRequest& request) {
    return request.body.substr(23, 36);
}

/// A session against a server that answers what the test says.
class DynamoDbUnknown : public testing::Test {
protected:
    void serve(std::vector<HttpAnswer> answers) { serve(FakeHttp::in_turn(std::move(answers))); }
    void serve(FakeHttp::Script script) {
        server = std::make_unique<FakeHttp>(std::move(script));
        dynamodb::DatabaseOptions options = options_for(server->endpoint());
        options.client.request_timeout = 500ms;
        options.commit_timeout = commit_timeout;
        options.client.max_attempts = max_attempts;
        db = std::make_unique<dynamodb::Database>(std::move(options));
        db->impl().boot_time = [this] { return boot_time; };
        session = std::make_unique<dynamodb::Session>(*db);
        events = std::make_unique<dynamodb::OutboxRepository>("outbox", *session, topics());
        received = std::make_unique<dynamodb::InboxRepository>("inbox", *session);
    }

    void commit() { sync_wait(session->commit()); }
    std::vector<HttpRequest> requests() const { return server->requests(); }

    std::chrono::milliseconds commit_timeout{20'000};
    int max_attempts = 3;
    std::chrono::nanoseconds boot_time = 1h;
    std::unique_ptr<FakeHttp> server;
    std::unique_ptr<dynamodb::Database> db;
    std::unique_ptr<dynamodb::Session> session;
    std::unique_ptr<dynamodb::OutboxRepository> events;
    std::unique_ptr<dynamodb::InboxRepository> received;
};

TEST_F(DynamoDbUnknown, frozen_bytes_on_resend) {
    serve({HttpAnswer::cut(), HttpAnswer{500, "{}"}, HttpAnswer{}});
    events->publish(Noted{});
    commit();
    ASSERT_EQ(requests().size(), 3u);
    EXPECT_EQ(requests()[0].body, requests()[1].body);
    EXPECT_EQ(requests()[0].body, requests()[2].body);
}

TEST_F(DynamoDbUnknown, lost_answer_then_token_expired_is_committed) {
    serve({HttpAnswer::cut(),
           cancelled({"ConditionalCheckFailed", "None", "ConditionalCheckFailed", "ConditionalCheckFailed"})});
    received->save(new_uuid());
    session->put("accounts", {{"PK", "a"}});
    events->publish(Noted{});
    commit();
    EXPECT_EQ(requests().size(), 2u);
    EXPECT_EQ(session->staged(), Staged::nothing);
    commit();  // nothing to do: it succeeded
}

TEST_F(DynamoDbUnknown, truncated_answer_is_not_taken_for_one) {
    HttpAnswer half{200, R"({"ConsumedCapacity":[]})"};
    half.sent_bytes = 60;
    serve({half, cancelled({"ConditionalCheckFailed", "ConditionalCheckFailed"})});
    events->publish(Noted{});
    commit();
    EXPECT_EQ(requests().size(), 2u);
}

TEST_F(DynamoDbUnknown, another_writers_row_is_a_duplicate_even_after_a_lost_answer) {
    const Uuid id = new_uuid();
    serve(
        {HttpAnswer::cut(),
         cancelled(
             {R"({"Code":"ConditionalCheckFailed","Item":{"PK":{"S":"x"},"CreatedAt":{"S":"2020-01-01T00:00:00+00:00"}}})"})});
    received->save(id);
    EXPECT_EQ(thrown_by<MessageAlreadyProcessedError>([&] { commit(); })->message_id(), id);
}

TEST_F(DynamoDbUnknown, without_a_lost_answer_a_known_message_is_a_duplicate) {
    serve({cancelled({"ConditionalCheckFailed", "None"})});
    events->publish(Noted{});
    thrown_by<MessageAlreadyPublishedError>([&] { commit(); });
    EXPECT_EQ(requests().size(), 1u);
}

TEST_F(DynamoDbUnknown, conflicts_and_throttling_are_tried_again_under_a_new_token) {
    serve({cancelled({"TransactionConflict", "None"}), cancelled({"None", "ProvisionedThroughputExceeded"}),
           cancelled({"ThrottlingError", "None"}), HttpAnswer{}});
    events->publish(Noted{});
    commit();
    std::set<std::string> tokens;
    for (const HttpRequest& request : requests())
        tokens.insert(token_of(request));
    EXPECT_EQ(tokens.size(), 4u);
}

TEST_F(DynamoDbUnknown, a_request_that_was_not_looked_at_keeps_its_token) {
    serve({HttpAnswer::cut(), refusal("ThrottlingException"), HttpAnswer{}});
    events->publish(Noted{});
    commit();
    ASSERT_EQ(requests().size(), 3u);
    EXPECT_EQ(requests()[0].body, requests()[2].body);
}

TEST_F(DynamoDbUnknown, a_replay_without_its_dead_letter_is_not_taken_for_committed) {
    serve({HttpAnswer::cut(), cancelled({"ConditionalCheckFailed"})});
    dynamodb::InboxOptions options;
    options.retention = std::chrono::hours{24};
    dynamodb::InboxRepository forgetful{"inbox", *session, options};
    Incoming replay{new_uuid(), "", now() - std::chrono::hours{48}};
    replay.replay = true;
    forgetful.save(replay);
    thrown_by<OutsideInboxWindowError>([&] { commit(); });
}

TEST_F(DynamoDbUnknown, a_conflict_before_a_failed_condition_decides_nothing) {
    serve({cancelled({"TransactionConflict", "ConditionalCheckFailed"}),
           cancelled({"ConditionalCheckFailed", "ConditionalCheckFailed"})});
    received->save(new_uuid());
    session->add(Write::check("accounts", {{"PK", "a"}}).when("credit > x", CreditExceeded{}));
    thrown_by<MessageAlreadyProcessedError>([&] { commit(); });
}

TEST_F(DynamoDbUnknown, endless_conflicts_end_as_a_definite_failure) {
    commit_timeout = 300ms;
    serve({cancelled({"TransactionConflict", "None"})});
    events->publish(Noted{});
    const auto error = thrown_by<Error>([&] { commit(); });
    EXPECT_EQ(error->code(), Errc::store_unavailable);
    EXPECT_TRUE(error->retryable());
    EXPECT_EQ(thrown_by<Error>([&] { commit(); })->code(), Errc::commit_failed_before);
}

TEST_F(DynamoDbUnknown, user_condition_failure_after_a_lost_answer_is_not_taken_for_success) {
    serve({HttpAnswer::cut(), cancelled({"ConditionalCheckFailed", "None", "None"})});
    session->add(Write::check("accounts", {{"PK", "a"}}).when("credit > x", CreditExceeded{}));
    events->publish(Noted{});
    thrown_by<CreditExceeded>([&] { commit(); });
}

TEST_F(DynamoDbUnknown, no_answer_until_the_end_is_unknown_and_resolved_with_the_same_bytes) {
    serve(FakeHttp::in_turn({HttpAnswer::cut(), HttpAnswer::cut(), HttpAnswer::cut(), HttpAnswer{}}));
    events->publish(Noted{});
    const auto unknown = thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    EXPECT_THAT(unknown->what(), HasSubstr("resolve()"));
    thrown_by<CommitOutcomeUnknown>([&] { events->publish(Noted{}); });
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::committed);
    ASSERT_EQ(requests().size(), 4u);
    EXPECT_EQ(requests()[0].body, requests()[3].body);
    commit();
}

TEST_F(DynamoDbUnknown, resolve_of_what_was_refused_is_a_failed_commit) {
    serve({HttpAnswer::cut(), HttpAnswer::cut(), HttpAnswer::cut(),
           cancelled({"ConditionalCheckFailed", "None", "None"})});
    session->add(Write::check("accounts", {{"PK", "a"}}).when("credit > x", CreditExceeded{}));
    events->publish(Noted{});
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::rolled_back);
    EXPECT_EQ(thrown_by<Error>([&] { commit(); })->code(), Errc::commit_failed_before);
}

TEST_F(DynamoDbUnknown, without_an_answer_resolve_leaves_it_unknown) {
    serve({HttpAnswer::cut()});
    events->publish(Noted{});
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::still_unknown);
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    session->rollback();
    commit();
    thrown_by<std::logic_error>([&] { sync_wait(session->resolve()); });
}

/// Answers nothing to writes, and to reads what the test says is stored.
class DynamoDbWitness : public DynamoDbUnknown {
protected:
    void SetUp() override {
        serve([this](const HttpRequest& request) {
            if (request.header("x-amz-target").ends_with("TransactWriteItems"))
                return HttpAnswer::cut();
            EXPECT_THAT(request.body, HasSubstr(R"("ConsistentRead":true)"));
            ++reads;
            return HttpAnswer{200, request.body.find("COUNTER") == std::string::npos ? stored : counter};
        });
    }

    static std::string counted(int sequence, const Uuid& last) {
        return R"({"Item":{"LastSequence":{"N":")" + std::to_string(sequence) + R"("},"LastMessageId":{"S":")" +
               last.to_string() + R"("}}})";
    }
    /// The id of the message in the request.
    Uuid sent_id() const {
        const std::string body = requests().front().body;
        return Uuid::parse(body.substr(body.find("MESSAGE#") + 8, 36));
    }

    /// The row of the first put in the request.
    std::string sent_row() const {
        const std::string body = requests().front().body;
        const auto begin = body.find(R"("Item":)"), end = body.find(R"(,"ConditionExpression")");
        return "{" + body.substr(begin, end - begin) + "}";
    }

    std::string stored = "{}", counter = "{}";
    std::atomic<int> reads{0};
};

TEST_F(DynamoDbWitness, after_the_tokens_life_the_witness_decides) {
    events->publish(Noted{});
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    const std::size_t sent = server->count();
    boot_time += 9min;
    stored = sent_row();
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::committed);
    EXPECT_EQ(server->count() - sent, 1u) << "nothing is sent again";
}

TEST_F(DynamoDbWitness, a_message_that_was_sent_and_deleted_since_was_not_rolled_back) {
    events->publish(Noted{});
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    boot_time += 9min;
    counter = counted(7, new_uuid());  // others were counted, before it or after it
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::still_unknown);
    counter = counted(1, sent_id());
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::committed);
}

TEST_F(DynamoDbWitness, a_counter_that_did_not_count_an_absent_message_says_that_it_was_rolled_back) {
    events->publish(Noted{});
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    boot_time += 9min;
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::rolled_back);
}

TEST_F(DynamoDbWitness, an_absent_message_without_a_counter_says_nothing) {
    dynamodb::OutboxOptions unordered;
    unordered.ordered = false;
    dynamodb::OutboxRepository other{"outbox", *session, topics(), unordered};
    other.publish(Noted{});
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    boot_time += 9min;
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::still_unknown);
}

TEST_F(DynamoDbUnknown, a_lost_answer_is_found_in_the_counter_when_the_message_was_deleted_since) {
    serve([is_first = std::make_shared<std::atomic<bool>>(true)](const HttpRequest& request) {
        if (is_first->exchange(false))
            return HttpAnswer::cut();
        const std::string id = request.body.substr(request.body.find("MESSAGE#") + 8, 36);
        return cancelled(
            {"None", R"({"Code":"ConditionalCheckFailed","Item":{"LastSequence":{"N":"1"},"LastMessageId":{"S":")" +
                         id + R"("}}})"});
    });
    events->publish(Noted{});
    commit();
    EXPECT_EQ(requests().size(), 2u);
}

TEST_F(DynamoDbWitness, an_absent_witness_is_a_rollback_only_when_nothing_is_on_its_way) {
    received->save(new_uuid());
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    boot_time += 7min + 50s;
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::still_unknown);  // sent again
    EXPECT_EQ(reads, 0);
    boot_time += 30s;
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::still_unknown);
    EXPECT_EQ(reads, 1);
    boot_time += 40s;
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::rolled_back);
}

TEST_F(DynamoDbWitness, without_a_witness_nothing_is_sent_after_the_tokens_life) {
    session->update("accounts", {{"PK", "a"}}, "add n :one", {{":one", 1}});
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
    const std::size_t sent = server->count();
    boot_time += 9min;
    EXPECT_EQ(sync_wait(session->resolve()), CommitOutcome::still_unknown);
    EXPECT_EQ(server->count(), sent);
}

TEST_F(DynamoDbUnknown, without_a_witness_the_token_stays_until_no_attempt_is_in_doubt) {
    serve({HttpAnswer::cut(), cancelled({"TransactionConflict"}), HttpAnswer{}});
    session->update("accounts", {{"PK", "a"}}, "add n :one", {{":one", 1}});
    commit();
    EXPECT_EQ(token_of(requests()[0]), token_of(requests()[2]));
}

TEST_F(DynamoDbUnknown, a_refusal_after_a_lost_answer_says_nothing_about_it) {
    serve({HttpAnswer::cut(), refusal("AccessDeniedException")});
    events->publish(Noted{});
    thrown_by<CommitOutcomeUnknown>([&] { commit(); });
}

TEST_F(DynamoDbUnknown, an_attempt_that_is_still_in_progress_is_waited_for) {
    serve({HttpAnswer::cut(), refusal("TransactionInProgressException"), HttpAnswer{}});
    events->publish(Noted{});
    commit();
    EXPECT_EQ(requests()[0].body, requests()[2].body);
}

TEST_F(DynamoDbUnknown, unreachable_from_the_start_is_a_definite_failure) {
    serve({HttpAnswer{}});
    dynamodb::DatabaseOptions options = options_for("http://127.0.0.1:1");
    options.client.max_attempts = 2;
    dynamodb::Database nowhere{std::move(options)};
    dynamodb::Session lost{nowhere};
    lost.put("accounts", {{"PK", "a"}});
    const auto error = thrown_by<Error>([&] { sync_wait(lost.commit()); });
    EXPECT_EQ(error->code(), Errc::store_unavailable);
}

TEST_F(DynamoDbUnknown, a_refused_element_is_named) {
    serve({cancelled(
        {"None", R"({"Code":"ValidationError","Message":"Item size to update has exceeded the maximum allowed size"})",
         "None"})});
    events->publish(Noted{});
    session->update("accounts", {{"PK", "large"}}, "set a = :a", {{":a", "x"}});
    const auto error = thrown_by<Error>([&] { commit(); });
    EXPECT_EQ(error->code(), Errc::statement_failed);
    EXPECT_THAT(error->what(), HasSubstr("large"));
    EXPECT_THAT(error->what(), HasSubstr("Item size"));
}

}  // namespace
}  // namespace txm::test
