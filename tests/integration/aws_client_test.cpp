#include "aws_fixture.hpp"

#include "aws/signer.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <thread>

namespace txm::aws {
namespace {

using test::FakeHttp;
using test::HttpAnswer;
using test::HttpRequest;

TEST(AwsClient, WhatGoesOverTheWire) {
    FakeHttp fake;
    Client client(options_for(fake), dynamodb);
    const Outcome outcome = call(client, {}, R"({"Key":1})");
    EXPECT_EQ(outcome.response.body, "{}");
    const HttpRequest request = fake.requests().at(0);
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/");
    EXPECT_EQ(request.body, R"({"Key":1})");
    EXPECT_EQ(request.header("x-amz-target"), "DynamoDB_20120810.GetItem");
    EXPECT_EQ(request.header("content-type"), "application/x-amz-json-1.0");
    EXPECT_EQ(request.header("x-amz-security-token"), "very-secret-session-token");
    EXPECT_EQ(client.endpoint(), fake.endpoint());
    EXPECT_EQ(client.region(), "eu-west-1");
}

TEST(AwsClient, ALargeBodyAsksForNoLeave) {
    FakeHttp fake;
    Client client(options_for(fake), dynamodb);
    const std::string body(3 << 20, 'x');
    EXPECT_TRUE(call(client, {}, body).is_answered());
    EXPECT_EQ(fake.requests().at(0).headers.count("expect"), 0U);
    EXPECT_EQ(fake.requests().at(0).body, body);
}

TEST(AwsClient, TheQueryProtocol) {
    const char* const refused =
        "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code>"
        "<Message>Topic does not exist</Message></Error></ErrorResponse>";
    FakeHttp fake(FakeHttp::in_turn({HttpAnswer(200, "<PublishResponse/>"), HttpAnswer(404, refused)}));
    Client client(options_for(fake), {"sns", "sns", Protocol::query});
    EXPECT_EQ(sync_wait(client.call("", "Action=Publish")).body, "<PublishResponse/>");
    EXPECT_EQ(fake.requests().at(0).headers.count("x-amz-target"), 0U);
    EXPECT_EQ(fake.requests().at(0).header("content-type"), "application/x-www-form-urlencoded; charset=utf-8");
    const Outcome outcome = call(client);
    ASSERT_TRUE(outcome.refused);
    EXPECT_EQ(outcome.refused->type(), "NotFound");
    EXPECT_EQ(outcome.refused->message(), "Topic does not exist");
    EXPECT_EQ(outcome.refused->code(), Errc::schema_missing);
}

TEST(AwsClient, WhatIsSentIsWhatIsSigned) {
    detail::Signer signer("eu-west-1", "dynamodb");
    const auto keys = std::make_shared<const Credentials>("AKIDEXAMPLE", secret);
    // As the service does it: from the headers that came, by the names that the signature gives.
    const auto verify = [&](const HttpRequest& request) {
        const std::string authorization = request.header("authorization");
        const std::size_t begin = authorization.find("SignedHeaders=") + 14;
        std::string names = authorization.substr(begin, authorization.find(',', begin) - begin) + ";";
        std::vector<std::pair<std::string, std::string>> kept;
        for (std::size_t end = 0; (end = names.find(';')) != std::string::npos; names.erase(0, end + 1))
            kept.emplace_back(names.substr(0, end), request.header(names.substr(0, end)));
        std::vector<detail::SignedHeader> headers;
        for (const auto& [name, value] : kept)
            headers.push_back({name, value});
        detail::Signable signable;
        signable.method = request.method;
        signable.path = request.path;
        signable.headers = headers;
        signable.body = request.body;
        std::string expected;
        signer.sign(expected, signable, keys, request.header("x-amz-date"));
        if (expected == authorization)
            return HttpAnswer();
        return refusal(400, "InvalidSignatureException",
                       "The request signature we calculated does not match the signature you provided.\\n\\n"
                       "The Canonical String for this request should have been\\nx-amz-security-token:" +
                           request.header("x-amz-security-token"));
    };
    FakeHttp fake(verify);
    Client good(options_for(fake), dynamodb);
    EXPECT_TRUE(call(good, {}, std::string(100'000, 'x')).is_answered());

    ClientOptions wrong = options_for(fake);
    wrong.credentials->secret_access_key = "not-the-secret";
    Client bad(wrong, dynamodb);
    const Outcome outcome = call(bad);
    ASSERT_TRUE(outcome.refused);
    EXPECT_EQ(outcome.refused->code(), Errc::invalid_configuration);
    EXPECT_NE(outcome.what().find("secret access key"), std::string::npos) << outcome.what();
    for (const std::string& text : {outcome.what(), outcome.refused->message(), outcome.refused->body()})
        for (const char* const hidden : {"not-the-secret", "very-secret-session-token"})
            EXPECT_EQ(text.find(hidden), std::string::npos) << text;
}

TEST(AwsClient, ConcurrentCallsShareThePool) {
    FakeHttp fake([](const HttpRequest&) {
        HttpAnswer answer;
        answer.delay = std::chrono::milliseconds(2);
        return answer;
    });
    Client client(options_for(fake), dynamodb);
    const auto round = [&] {
        boost::asio::io_context context;
        int answered = 0;
        for (int i = 0; i < 200; ++i)
            boost::asio::co_spawn(context, client.call("A.B", "{}"), [&](std::exception_ptr e, const Response&) {
                EXPECT_FALSE(e);
                ++answered;
            });
        context.run();
        EXPECT_EQ(answered, 200);
    };
    round();
    EXPECT_LE(client.connects(), 32U);
    const std::uint64_t warm = client.connects();
    EXPECT_EQ(static_cast<int>(warm), fake.connections());
    round();
    EXPECT_EQ(client.connects(), warm);
    // The caller's own thread uses the same connections.
    EXPECT_TRUE(call(client).is_answered());
    EXPECT_EQ(client.connects(), warm);
    EXPECT_EQ(fake.count(), 401U);
}

TEST(AwsClient, BlockingCallersAndCoroutinesTogether) {
    FakeHttp fake([](const HttpRequest&) {
        HttpAnswer answer;
        answer.delay = std::chrono::milliseconds(1);
        return answer;
    });
    Client client(options_for(fake), dynamodb);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&, i] {
            if (i % 2 == 0) {
                for (int k = 0; k < 50; ++k)
                    EXPECT_TRUE(call(client).is_answered());
                return;
            }
            boost::asio::io_context context;
            for (int k = 0; k < 50; ++k)
                boost::asio::co_spawn(context, client.call("A.B", "{}"),
                                      [](std::exception_ptr e, const Response&) { EXPECT_FALSE(e); });
            context.run();
        });
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(fake.count(), 200U);
}

TEST(AwsClient, ALongWaitDoesNotHoldUpABlockingProgram) {
    std::optional<FakeHttp> fake;
    std::atomic<bool> both_came{false};
    // As a queue does: answers once something has happened.
    fake.emplace([&](const HttpRequest& request) {
        if (request.header("x-amz-target") == "A.Long")
            both_came = fake->wait_for(2);
        return HttpAnswer();
    });
    Client client(options_for(*fake), dynamodb);
    const auto send_later = [&]() -> awaitable<void> {
        co_await boost::asio::post(boost::asio::use_awaitable);
        co_await client.call("A.Short", "{}");
    };
    const auto receive_and_send = [&]() -> awaitable<void> {
        boost::asio::co_spawn(co_await boost::asio::this_coro::executor, send_later(),
                              [](std::exception_ptr e) { EXPECT_FALSE(e); });
        CallOptions patient;
        patient.timeout = std::chrono::seconds(30);
        co_await client.call("A.Long", "{}", patient);
    };
    sync_wait(receive_and_send());
    EXPECT_TRUE(both_came);
}

TEST(AwsClient, NoConnectionsAtAllAreRefused) {
    FakeHttp fake;
    ClientOptions options = options_for(fake);
    options.max_connections = 0;
    EXPECT_THROW(Client(options, dynamodb), Error);
}

TEST(AwsClient, ClosingItEndsWhatIsUnderWay) {
    FakeHttp fake([](const HttpRequest&) {
        HttpAnswer answer;
        answer.delay = std::chrono::milliseconds(300);
        return answer;
    });
    boost::asio::io_context context;
    std::exception_ptr sent, waiting;
    std::optional<Client> client;
    ClientOptions options = options_for(fake);
    options.max_connections = 1;
    client.emplace(options, dynamodb);
    const auto keep = [](std::exception_ptr& where) {
        return [&where](std::exception_ptr e, const Response&) { where = e; };
    };
    boost::asio::co_spawn(context, client->call("A.B", "{}"), keep(sent));
    boost::asio::co_spawn(context, client->call("A.B", "{}"), keep(waiting));
    std::thread runner([&] { context.run(); });
    ASSERT_TRUE(fake.wait_for(1));
    client.reset();
    runner.join();
    EXPECT_THROW(std::rethrow_exception(sent), UnansweredError);
    try {
        std::rethrow_exception(waiting);
    } catch (const UnansweredError&) {
        ADD_FAILURE() << "it was never sent";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::store_unavailable);
    }
}

}  // namespace
}  // namespace txm::aws
