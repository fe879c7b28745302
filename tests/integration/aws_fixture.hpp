#pragma once

#include "aws/client.hpp"
#include "support/aws_environment.hpp"
#include "support/fake_http.hpp"
#include "txm/sync_wait.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>

namespace txm::aws {

inline const Service dynamodb{"dynamodb", "dynamodb"};
inline constexpr const char* secret = "very-secret-access-key";

inline ClientOptions options_for(const test::FakeHttp& fake) {
    ClientOptions options("eu-west-1");
    options.endpoint = fake.endpoint();
    options.credentials = Credentials("AKIDEXAMPLE", secret, "very-secret-session-token");
    return options;
}

/// How a call ended.
class Outcome {
public:
    Response response;
    std::optional<ServiceError> refused;
    std::optional<UnansweredError> unanswered;
    std::optional<Error> failed;  ///< any error

    bool is_answered() const { return !failed; }
    std::string what() const { return failed ? failed->what() : ""; }
};

inline Outcome call(Client& client, CallOptions how = {}, std::string body = "{}") {
    Outcome outcome;
    try {
        outcome.response = sync_wait(client.call("DynamoDB_20120810.GetItem", std::move(body), std::move(how)));
    } catch (const ServiceError& e) {
        outcome.refused = e;
        outcome.failed = e;
    } catch (const UnansweredError& e) {
        outcome.unanswered = e;
        outcome.failed = e;
    } catch (const Error& e) {
        outcome.failed = e;
    }
    return outcome;
}

inline test::HttpAnswer refusal(int status, const std::string& type, const std::string& message = "no") {
    return test::HttpAnswer(
        status, R"({"__type":"com.amazonaws.dynamodb.v20120810#)" + type + R"(","message":")" + message + "\"}");
}

}  // namespace txm::aws
