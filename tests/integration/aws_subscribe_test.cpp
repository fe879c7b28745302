#include "brokers/aws/sns.hpp"
#include "brokers/aws/sqs.hpp"
#include "support/aws_names.hpp"
#include "support/broker_messages.hpp"
#include "support/fake_http.hpp"
#include "support/server.hpp"
#include "txm/aws.hpp"
#include "txm/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <algorithm>
#include <functional>

namespace txm::test {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

/// Servers that play SNS and SQS.
class AwsSetUp : public testing::TestWithParam<const char*> {
protected:
    const Server& server_ = Server::shared(GetParam());
    const std::string prefix_ = new_prefix();
    aws::detail::Sqs sqs_{aws_options(server_, prefix_).client};
    aws::detail::Sns sns_{aws_options(server_, prefix_).client};

    aws::SubscriptionOptions options(bool fifo = false) const {
        aws::SubscriptionOptions options{aws_options(server_, prefix_, fifo)};
        options.wait = std::chrono::seconds{1};
        return options;
    }

    std::string arn_of(const std::string& queue) {
        return sync_wait(sqs_.attributes(sync_wait(sqs_.find(queue)))).at("QueueArn");
    }

    /// Why a subscription cannot be used.
    static std::string refusal(const std::function<void()>& work) {
        try {
            work();
        } catch (const Error& e) {
            EXPECT_EQ(e.code(), Errc::invalid_configuration) << e.what();
            return e.what();
        }
        return "nothing was refused";
    }
};

INSTANTIATE_TEST_SUITE_P(Servers, AwsSetUp, testing::Values("fauxqs", "moto"),
                         [](const auto& server) { return std::string(server.param); });

TEST_P(AwsSetUp, makes_what_is_missing_once) {
    for (int i = 0; i < 2; ++i)
        sync_wait(aws::subscribe({"orders"}, options()));
    const std::string topic = sync_wait(sns_.find(prefix_ + "orders"));
    ASSERT_FALSE(topic.empty());
    const std::string queue = prefix_ + "orders--default";
    const std::string subscription = sync_wait(sns_.find_subscription(topic, arn_of(queue)));
    ASSERT_FALSE(subscription.empty());
    EXPECT_EQ(sync_wait(sns_.subscription_attributes(subscription)).at("RawMessageDelivery"), "true");

    const auto attributes = sync_wait(sqs_.attributes(sync_wait(sqs_.find(queue))));
    EXPECT_EQ(attributes.at("MessageRetentionPeriod"), "1209600");
    const auto policy = boost::json::parse(attributes.at("Policy")).as_object();
    ASSERT_THAT(policy.at("Statement").as_array(), SizeIs(1));
    const auto& statement = policy.at("Statement").as_array()[0].as_object();
    EXPECT_EQ(statement.at("Action"), "sqs:SendMessage");
    EXPECT_EQ(statement.at("Resource").as_string(), attributes.at("QueueArn"));
    EXPECT_EQ(statement.at("Condition").at("ArnEquals").at("aws:SourceArn").as_string(), topic);
    EXPECT_EQ(statement.at("Principal").at("Service"), "sns.amazonaws.com");
}

TEST_P(AwsSetUp, keeps_what_a_policy_says_already) {
    const std::string url = sync_wait(sqs_.create(prefix_ + "orders--default", {}));
    const std::string theirs =
        R"({"Version":"2012-10-17","Statement":[{"Sid":"theirs","Effect":"Allow","Principal":"*",)"
        R"("Action":"sqs:ReceiveMessage","Resource":")" +
        arn_of(prefix_ + "orders--default") + "\"}]}";
    sync_wait(sqs_.set_attributes(url, {{"Policy", theirs}}));
    sync_wait(aws::subscribe({"orders"}, options()));
    const auto policy = boost::json::parse(sync_wait(sqs_.attributes(url)).at("Policy")).as_object();
    const auto& statements = policy.at("Statement").as_array();
    ASSERT_THAT(statements, SizeIs(2));
    EXPECT_EQ(statements[0].at("Sid"), "theirs");
}

TEST_P(AwsSetUp, a_redrive_policy_that_gives_up_too_soon_is_refused) {
    const std::string url = sync_wait(sqs_.create(prefix_ + "orders--default", {}));
    sync_wait(sqs_.create(prefix_ + "dead", {}));
    const auto set = [&](int receives) {
        const std::string policy = R"({"deadLetterTargetArn":")" + arn_of(prefix_ + "dead") +
                                   R"(","maxReceiveCount":)" + std::to_string(receives) + "}";
        sync_wait(sqs_.set_attributes(url, {{"RedrivePolicy", policy}}));
    };
    set(99);
    const auto begin = [&] {
        aws::Subscription subscription{{"orders"}, options()};
        sync_wait(subscription.drain());
        sync_wait(subscription.receive(1));
    };
    const std::string why = refusal(begin);
    EXPECT_THAT(why, HasSubstr(prefix_ + "orders--default"));
    EXPECT_THAT(why, HasSubstr("after 99 receives"));
    EXPECT_THAT(why, HasSubstr("at least 100"));
    EXPECT_THAT(refusal([&] { sync_wait(aws::subscribe({"orders"}, options())); }), HasSubstr("at least 100"));
    set(100);
    EXPECT_NO_THROW(begin());
}

TEST_P(AwsSetUp, fifo_to_standard_refused) {
    const std::string topic = sync_wait(sns_.create(prefix_ + "orders.fifo", true));
    sync_wait(sqs_.create(prefix_ + "orders--default", {}));
    const std::string queue = arn_of(prefix_ + "orders--default");
    try {
        sync_wait(sns_.subscribe(topic, queue));
    } catch (const Error&) {
        return;  // the server refuses it itself
    }
    EXPECT_THAT(refusal([&] { sync_wait(aws::subscribe({"orders"}, options(true))); }), HasSubstr(queue));
}

TEST_P(AwsSetUp, what_is_missing_and_must_not_be_made_is_named) {
    aws::SubscriptionOptions reading = options();
    reading.broker.create = false;
    const std::string why = refusal([&] {
        aws::Subscription subscription{{"orders"}, reading};
        sync_wait(subscription.receive(1));
    });
    EXPECT_THAT(why, HasSubstr(prefix_ + "orders--default"));
    EXPECT_THAT(why, HasSubstr("txm migrate --broker"));
}

TEST_P(AwsSetUp, a_queue_that_was_made_is_read_without_more_rights) {
    sync_wait(aws::subscribe({"orders"}, options()));
    aws::SnsPublisher publisher{options().broker};
    const std::vector sent{message("orders", "anna", "1")};
    publish(publisher, sent);
    aws::SubscriptionOptions reading = options();
    reading.broker.create = false;
    aws::Subscription subscription{{"orders"}, reading};
    EXPECT_THAT(receive(subscription, 1), SizeIs(1));
}

// ListSubscriptionsByTopic shows `Deleted` for some time, and `PendingConfirmation` for what nobody will confirm.
TEST(AwsSetUpOfASubscription, one_that_is_none_does_not_count) {
    const FakeHttp http{[](const HttpRequest& request) {
        const std::string target = request.header("x-amz-target");
        if (target == "AmazonSQS.GetQueueUrl")
            return HttpAnswer(200, R"({"QueueUrl":"http://q/1/orders--default"})");
        if (!target.empty())
            return HttpAnswer(200, R"({"Attributes":{"QueueArn":"arn:aws:sqs:us-east-1:1:orders--default"}})");
        if (request.body.starts_with("Action=CreateTopic&"))
            return HttpAnswer(200,
                              "<CreateTopicResponse><CreateTopicResult><TopicArn>arn:aws:sns:us-east-1:1:orders"
                              "</TopicArn></CreateTopicResult></CreateTopicResponse>");
        if (request.body.starts_with("Action=Subscribe&"))
            return HttpAnswer(200, "<SubscribeResponse><SubscribeResult/></SubscribeResponse>");
        return HttpAnswer(200,
                          "<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult><Subscriptions><member>"
                          "<SubscriptionArn>Deleted</SubscriptionArn>"
                          "<Endpoint>arn:aws:sqs:us-east-1:1:orders--default</Endpoint></member></Subscriptions>"
                          "</ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>");
    }};
    aws::ClientOptions client{"us-east-1"};
    client.endpoint = http.endpoint();
    client.credentials = aws::Credentials{"test", "test"};
    sync_wait(aws::subscribe({"orders"}, aws::SubscriptionOptions{aws::BrokerOptions{client}}));
    const auto requests = http.requests();
    EXPECT_TRUE(std::ranges::any_of(
        requests, [](const HttpRequest& request) { return request.body.starts_with("Action=Subscribe&"); }));
}

}  // namespace
}  // namespace txm::test
