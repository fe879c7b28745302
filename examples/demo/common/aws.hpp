#pragma once

#include <txm/aws_client.hpp>
#include <txm/subscription.hpp>

#include <map>
#include <memory>
#include <string>
#include <string_view>

/// What the wirings on DynamoDB, SNS and SQS share.
namespace demo {

/// `dynamodb://us-east-1/orders-outbox?inbox=orders-inbox&endpoint=http://127.0.0.1:8000`
struct AwsUrl {
    std::string region;
    std::string name;  ///< of the outbox table; for a broker, the prefix of its topics
    std::map<std::string, std::string, std::less<>> options;

    std::string option(std::string_view key, std::string_view fallback) const;
    txm::aws::ClientOptions client() const;
};

/// The URL that an environment variable holds. @throws std::runtime_error when it is not set or is of another scheme
AwsUrl aws_url_from_environment(const char* variable, std::string_view scheme);

/// Deliveries of a topic from the SNS that TXM_BROKER names, through the consumer's own queue.
std::unique_ptr<txm::Subscription> subscribe_behind_sns(const std::string& topic, const std::string& consumer);

}  // namespace demo
