#include "aws_fixture.hpp"

#include "txm/timestamp.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <ctime>

namespace txm::aws {
namespace {

using test::FakeHttp;
using test::HttpAnswer;
using test::HttpRequest;

const CallOptions once_sent{Repeat::until_sent};

/// A server whose clock is an hour ahead of this machine's, and which answers only what is signed by it.
HttpAnswer an_hour_ahead(const HttpRequest& request) {
    const std::time_t time =
        std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() + std::chrono::hours(1));
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    char date[64], hour[16];
    std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    std::strftime(hour, sizeof hour, "%Y%m%dT%H", &parts);
    if (request.header("x-amz-date").rfind(hour, 0) == 0)
        return HttpAnswer().with("Date", date);
    return refusal(400, "InvalidSignatureException", "Signature expired: 20261124T120000Z is now earlier than …")
        .with("Date", date);
}

TEST(AwsRetry, ThrottlingIsRepeatedByEverybody) {
    for (const char* const type :
         {"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded",
          "TransactionConflictException", "TransactionInProgressException", "RequestThrottled", "Throttled"}) {
        FakeHttp fake(FakeHttp::in_turn({refusal(400, type), refusal(400, type), HttpAnswer()}));
        Client client(options_for(fake), dynamodb);
        const Outcome outcome = call(client, once_sent);
        EXPECT_TRUE(outcome.is_answered()) << type << outcome.what();
        EXPECT_EQ(outcome.response.unanswered, 0);
        EXPECT_EQ(fake.count(), 3U);
    }
}

TEST(AwsRetry, TheNumberOfAttemptsIsBounded) {
    FakeHttp fake(FakeHttp::in_turn({refusal(400, "ThrottlingException", "slow down")}));
    Client client(options_for(fake), dynamodb);
    CallOptions three;
    three.max_attempts = 3;
    const Outcome outcome = call(client, three);
    ASSERT_TRUE(outcome.refused);
    EXPECT_EQ(outcome.refused->code(), Errc::store_unavailable);
    EXPECT_TRUE(outcome.failed->retryable());
    EXPECT_EQ(outcome.refused->unanswered(), 0);
    EXPECT_EQ(fake.count(), 3U);
}

TEST(AwsRetry, ThrottlingMayBeBorneForLonger) {
    CallOptions two;
    two.max_attempts = 2;
    two.bears_throttling = true;
    for (const bool is_throttled : {true, false}) {
        FakeHttp fake(FakeHttp::in_turn({refusal(400, is_throttled ? "ThrottlingException" : "InternalServerError")}));
        ClientOptions options = options_for(fake);
        options.max_attempts = 4;
        Client client(options, dynamodb);
        EXPECT_FALSE(call(client, two).is_answered());
        EXPECT_EQ(fake.count(), is_throttled ? 4U : 2U);
    }
}

TEST(AwsRetry, TheServicesOwnTroubleMayHaveHadAnEffect) {
    FakeHttp fake(FakeHttp::in_turn({refusal(500, "InternalServerError"), HttpAnswer(503, ""), HttpAnswer()}));
    Client client(options_for(fake), dynamodb);
    const Outcome outcome = call(client);
    EXPECT_TRUE(outcome.is_answered()) << outcome.what();
    EXPECT_EQ(outcome.response.unanswered, 2);

    FakeHttp other(FakeHttp::in_turn({refusal(500, "InternalServerError"), HttpAnswer()}));
    Client careful(options_for(other), dynamodb);
    const Outcome refused = call(careful, once_sent);
    ASSERT_TRUE(refused.refused);
    EXPECT_EQ(refused.refused->code(), Errc::store_unavailable);
    EXPECT_EQ(refused.refused->unanswered(), 1);
    EXPECT_EQ(other.count(), 1U);
}

TEST(AwsRetry, ACutAnswerIsRepeatedAndCounted) {
    HttpAnswer truncated(200, std::string(1000, 'x'));
    truncated.sent_bytes = 300;
    FakeHttp fake(FakeHttp::in_turn({HttpAnswer::cut(), truncated, HttpAnswer()}));
    Client client(options_for(fake), dynamodb);
    const Outcome outcome = call(client);
    EXPECT_TRUE(outcome.is_answered()) << outcome.what();
    EXPECT_EQ(outcome.response.body, "{}");
    EXPECT_EQ(outcome.response.unanswered, 2);
    EXPECT_EQ(fake.count(), 3U);
}

TEST(AwsRetry, ADamagedAnswerIsRepeated) {
    FakeHttp fake(FakeHttp::in_turn({HttpAnswer(200, R"({"a":2})").with("x-amz-crc32", "1234"),
                                     HttpAnswer(200, "{}").with("x-amz-crc32", "2745614147")}));
    Client client(options_for(fake), dynamodb);
    const Outcome outcome = call(client);
    EXPECT_EQ(outcome.response.body, "{}");
    EXPECT_EQ(outcome.response.unanswered, 1);
}

TEST(AwsRetry, AnAnswerThatCameTwiceAnswersNothing) {
    FakeHttp fake(FakeHttp::in_turn({HttpAnswer(200, R"({"n":1})").with("x-amzn-RequestId", "one"),
                                     HttpAnswer(200, R"({"n":1})").with("x-amzn-RequestId", "one"),
                                     HttpAnswer(200, R"({"n":2})").with("x-amzn-RequestId", "two")}));
    Client client(options_for(fake), dynamodb);
    EXPECT_EQ(call(client).response.body, R"({"n":1})");
    const Outcome outcome = call(client);
    EXPECT_EQ(outcome.response.body, R"({"n":2})");
    EXPECT_EQ(outcome.response.unanswered, 1);
    EXPECT_EQ(fake.connections(), 2) << "what comes over the first one belongs to other requests";
}

TEST(AwsRetry, WhatMayHaveBeenCarriedOutIsNotSentTwice) {
    const long whole = 39;  // HTTP/1.1 200 X, Content-Length: 2, {}
    for (long size = 0; size < whole; ++size) {
        HttpAnswer truncated;
        truncated.sent_bytes = size;
        FakeHttp fake(FakeHttp::in_turn({truncated, HttpAnswer()}));
        Client client(options_for(fake), dynamodb);
        const Outcome outcome = call(client, once_sent);
        EXPECT_TRUE(outcome.unanswered) << size << outcome.what();
        EXPECT_EQ(fake.count(), 1U);
    }
}

// libcurl repeats a request by itself when a kept-alive connection dies under it: that, too, is told or not done.
TEST(AwsRetry, AKeptConnectionThatDiesUnderARequest) {
    FakeHttp fake(FakeHttp::in_turn({HttpAnswer(), HttpAnswer::cut(), HttpAnswer()}));
    Client client(options_for(fake), dynamodb);
    EXPECT_TRUE(call(client).is_answered());
    const Outcome outcome = call(client);
    EXPECT_TRUE(outcome.is_answered()) << outcome.what();
    EXPECT_EQ(outcome.response.unanswered, 1);

    FakeHttp other(FakeHttp::in_turn({HttpAnswer(), HttpAnswer::cut(), HttpAnswer()}));
    Client careful(options_for(other), dynamodb);
    EXPECT_TRUE(call(careful, once_sent).is_answered());
    EXPECT_TRUE(call(careful, once_sent).unanswered);
    EXPECT_EQ(other.count(), 2U);
}

TEST(AwsRetry, AConnectionThatTheServerClosedWhileItWasIdle) {
    HttpAnswer last;
    last.closes = true;
    FakeHttp fake(FakeHttp::in_turn({last}));
    Client client(options_for(fake), dynamodb);
    for (int i = 0; i < 20; ++i) {
        const Outcome outcome = call(client, once_sent);
        EXPECT_TRUE(outcome.is_answered()) << outcome.what();
        EXPECT_EQ(outcome.response.unanswered, 0);
        while (fake.open() > 0)
            std::this_thread::yield();
    }
    EXPECT_EQ(fake.count(), 20U);
}

TEST(AwsRetry, NobodyListens) {
    std::string endpoint;
    {
        const FakeHttp gone;
        endpoint = gone.endpoint();
    }
    ClientOptions options("eu-west-1");
    options.endpoint = endpoint;
    options.credentials = Credentials("AKIDEXAMPLE", secret);
    options.max_attempts = 2;
    Client client(options, dynamodb);
    const Outcome outcome = call(client, once_sent);
    ASSERT_TRUE(outcome.failed);
    EXPECT_FALSE(outcome.unanswered);
    EXPECT_EQ(outcome.failed->code(), Errc::store_unavailable);
    EXPECT_NE(outcome.what().find(endpoint), std::string::npos) << outcome.what();
    EXPECT_NE(outcome.what().find("2 attempts"), std::string::npos) << outcome.what();
}

TEST(AwsRetry, AnAnswerThatIsTooLate) {
    HttpAnswer late;
    late.delay = std::chrono::milliseconds(500);
    FakeHttp fake(FakeHttp::in_turn({late, HttpAnswer()}));
    Client client(options_for(fake), dynamodb);
    CallOptions hasty;
    hasty.timeout = std::chrono::milliseconds(100);
    const Outcome outcome = call(client, hasty);
    EXPECT_TRUE(outcome.is_answered()) << outcome.what();
    EXPECT_EQ(outcome.response.unanswered, 1);
}

TEST(AwsRetry, TheServersTimeIsAdopted) {
    FakeHttp fake(an_hour_ahead);
    Client client(options_for(fake), dynamodb);
    const Outcome outcome = call(client, once_sent);
    EXPECT_TRUE(outcome.is_answered()) << outcome.what();
    EXPECT_EQ(outcome.response.unanswered, 0);
    const std::size_t so_far = fake.count();
    EXPECT_LE(so_far, 3U);
    EXPECT_TRUE(call(client).is_answered());
    EXPECT_EQ(fake.count(), so_far + 1);
}

TEST(AwsRetry, TheServersTimeIsAdoptedByAllThatAreUnderWay) {
    FakeHttp fake([](const HttpRequest& request) {
        HttpAnswer answer = an_hour_ahead(request);
        if (answer.status != 200)
            answer.delay = std::chrono::milliseconds(200);
        return answer;
    });
    Client client(options_for(fake), dynamodb);
    boost::asio::io_context context;
    int answered = 0;
    std::string why;
    for (int i = 0; i < 8; ++i)
        boost::asio::co_spawn(context, client.call("A.B", "{}"), [&](std::exception_ptr e, const Response&) {
            try {
                if (e)
                    std::rethrow_exception(e);
                ++answered;
            } catch (const Error& error) {
                why = error.what() + std::string(" [") + error.code().message() + "]";
            }
        });
    context.run();
    EXPECT_EQ(answered, 8) << why;
}

TEST(AwsRetry, WhatAnOperatorHasToMendIsSaidOnce) {
    struct Case {
        const char* type;
        Errc code;
        const char* says;
    };
    const Case cases[] = {
        {"UnrecognizedClientException", Errc::invalid_configuration, "access key"},
        {"InvalidSignatureException", Errc::invalid_configuration, "secret access key"},
        {"AccessDeniedException", Errc::invalid_configuration, "IAM policy"},
        {"RequestTimeTooSkewed", Errc::invalid_configuration, "clock"},
        {"ExpiredTokenException", Errc::store_unavailable, "renew the credentials"},
        {"ResourceNotFoundException", Errc::schema_missing, "eu-west-1"},
        {"ValidationException", Errc::not_supported, "no"},
    };
    for (const Case& one : cases) {
        FakeHttp fake(FakeHttp::in_turn({refusal(400, one.type)}));
        Client client(options_for(fake), dynamodb);
        const Outcome outcome = call(client);
        ASSERT_TRUE(outcome.refused) << one.type;
        EXPECT_EQ(outcome.refused->code(), one.code) << one.type;
        EXPECT_EQ(outcome.refused->type(), one.type);
        EXPECT_NE(outcome.what().find(one.says), std::string::npos) << outcome.what();
        EXPECT_EQ(fake.count(), 1U) << one.type;
        EXPECT_EQ(outcome.what().find("very-secret"), std::string::npos) << outcome.what();
    }
}

TEST(AwsRetry, TheTypeMayBeInAHeader) {
    FakeHttp fake(FakeHttp::in_turn({HttpAnswer(400, "").with("x-amzn-ErrorType", "AccessDeniedException:http://a/")}));
    Client client(options_for(fake), dynamodb);
    const Outcome outcome = call(client);
    ASSERT_TRUE(outcome.refused);
    EXPECT_EQ(outcome.refused->type(), "AccessDeniedException");
}

}  // namespace
}  // namespace txm::aws
