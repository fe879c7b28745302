#include "aws/client.hpp"
#include "support/server.hpp"
#include "txm/sync_wait.hpp"

#include <gtest/gtest.h>

namespace txm::aws {
namespace {

ClientOptions options_for(const std::string& endpoint) {
    ClientOptions options("eu-west-1");
    options.endpoint = endpoint;
    options.credentials = Credentials("test", "test");
    return options;
}

TEST(AwsServers, DynamoDbLocalListsItsTables) {
    Client client(options_for(test::Server::shared("dynamodb").endpoint()), {"dynamodb", "dynamodb"});
    for (int i = 0; i < 3; ++i)
        EXPECT_NE(sync_wait(client.call("DynamoDB_20120810.ListTables", "{}")).body.find("TableNames"),
                  std::string::npos);
    EXPECT_EQ(client.connects(), 1U);
}

TEST(AwsServers, AMissingTableIsTold) {
    Client client(options_for(test::Server::shared("dynamodb").endpoint()), {"dynamodb", "dynamodb"});
    try {
        sync_wait(client.call("DynamoDB_20120810.DescribeTable", R"({"TableName":"nowhere"})"));
        FAIL();
    } catch (const ServiceError& e) {
        EXPECT_EQ(e.code(), Errc::schema_missing);
        EXPECT_EQ(e.type(), "ResourceNotFoundException");
        EXPECT_EQ(e.status(), 400);
        EXPECT_EQ(e.unanswered(), 0);
    }
}

TEST(AwsServers, FromAThreadThatMayNotBlock) {
    Client client(options_for(test::Server::shared("dynamodb").endpoint()), {"dynamodb", "dynamodb"});
    boost::asio::io_context context;
    int answered = 0;
    for (int i = 0; i < 100; ++i)
        boost::asio::co_spawn(context, client.call("DynamoDB_20120810.ListTables", "{}"),
                              [&](std::exception_ptr e, const Response&) {
                                  EXPECT_FALSE(e);
                                  ++answered;
                              });
    context.run();
    EXPECT_EQ(answered, 100);
    EXPECT_LE(client.connects(), 32U);
}

}  // namespace
}  // namespace txm::aws
