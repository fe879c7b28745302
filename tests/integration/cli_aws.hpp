#pragma once

#include "aws/client.hpp"
#include "integration/cli_process.hpp"
#include "support/server.hpp"
#include "txm/sync_wait.hpp"

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <map>
#include <string>
#include <vector>

namespace txm::cli_test {

/// What a key holds that must never be seen anywhere.
inline const std::string secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
inline const std::string session_token = "FwoGZXIvYXdzEXAMPLETOKEN";

/// A test with a DynamoDB and a broker that nobody else sees: DynamoDB Local keeps each access key apart, the broker's names
/// have a prefix of their own.
class CliAws : public testing::Test {
protected:
    CliAws() {
        static int number = 0;
        name_ = std::to_string(::getpid()) + "x" + std::to_string(++number);
    }

    std::map<std::string, std::string> environment() const {
        return {{"AWS_ACCESS_KEY_ID", "AKIA" + name_},
                {"AWS_SECRET_ACCESS_KEY", secret},
                {"AWS_SESSION_TOKEN", session_token},
                {"AWS_EC2_METADATA_DISABLED", "true"},
                {"HOME", scratch.path("")}};
    }
    static std::string dynamodb() { return test::Server::shared("dynamodb").endpoint(); }
    static std::string fauxqs() { return test::Server::shared("fauxqs").endpoint(); }

    std::string store(const std::string& more = {}) const {
        return "dynamodb://eu-west-1/shop-outbox?inbox=shop-inbox&endpoint=" + dynamodb() + more;
    }
    std::string sns(const std::string& more = {}) const {
        return "sns://eu-west-1/s" + name_ + "-?fifo=true&wait=1s&endpoint=" + fauxqs() + more;
    }
    std::string sqs(const std::string& more = {}) const {
        return "sqs://eu-west-1/q" + name_ + "-?fifo=true&wait=1s&endpoint=" + fauxqs() + more;
    }

    Start start(std::vector<std::string> arguments, std::string input = {}) const {
        Start start;
        start.arguments = std::move(arguments);
        start.input = std::move(input);
        start.environment = environment();
        return start;
    }
    Result txm(std::vector<std::string> arguments, std::string input = {}) const {
        return checked(run(scratch, start(std::move(arguments), std::move(input))));
    }
    static Result checked(Result result) {
        for (const std::string& text : {result.out, result.err})
            for (const std::string& hidden : {secret, session_token})
                EXPECT_EQ(text.find(hidden), std::string::npos) << text;
        return result;
    }

    /// What the test does itself, as another program would: a call of DynamoDB with JSON.
    boost::json::object request(const std::string& action, const std::string& body) const {
        aws::ClientOptions options{"eu-west-1"};
        options.endpoint = dynamodb();
        options.credentials.emplace(environment().at("AWS_ACCESS_KEY_ID"), secret, session_token);
        aws::Client client{std::move(options), aws::Service{"dynamodb", "dynamodb"}};
        return boost::json::parse(sync_wait(client.call("DynamoDB_20120810." + action, body)).body).as_object();
    }

    /// Messages 0 to number - 1, of ten aggregates.
    static std::string lines(int number, const std::string& topic = "orders") {
        std::string text;
        for (int i = 0; i < number; ++i)
            text += "{\"topic\":\"" + topic + "\",\"aggregate_id\":\"00000000-0000-4000-8000-00000000000" +
                    std::to_string(i % 10) + "\",\"payload\":{\"n\":" + std::to_string(i) + "},\"type\":\"paid\"}\n";
        return text;
    }

    Scratch scratch;

private:
    std::string name_;
};

}  // namespace txm::cli_test
