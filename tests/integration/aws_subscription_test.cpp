#include "aws/client.hpp"
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
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

namespace txm::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::UnorderedElementsAre;

/// Servers that play SNS and SQS.
class AwsSubscriptions : public testing::TestWithParam<const char*> {
protected:
    const Server& server_ = Server::shared(GetParam());
    const std::string prefix_ = new_prefix();

    aws::BrokerOptions broker(bool fifo = false) const { return aws_options(server_, prefix_, fifo); }

    aws::SubscriptionOptions options(bool behind_sns, bool fifo = false) const {
        aws::SubscriptionOptions options{broker(fifo)};
        options.behind_sns = behind_sns;
        options.wait = std::chrono::seconds{1};
        options.max_polls = 1;
        return options;
    }

    std::unique_ptr<aws::Subscription> subscription(const aws::SubscriptionOptions& options) const {
        return std::make_unique<aws::Subscription>(std::vector<std::string>{"orders"}, options);
    }
};

INSTANTIATE_TEST_SUITE_P(Servers, AwsSubscriptions, testing::Values("fauxqs", "moto"),
                         [](const auto& server) { return std::string(server.param); });

TEST_P(AwsSubscriptions, slow_handler_past_visibility) {
    aws::SubscriptionOptions short_lived = options(false);
    short_lived.visibility = std::chrono::seconds{2};
    aws::SqsPublisher publisher{broker()};
    const std::vector sent{message("orders", "anna", "extended"), message("orders", "bert", "forgotten")};
    ASSERT_EQ(publish(publisher, sent), 2U);
    const auto slow = subscription(short_lived);
    const auto received = receive(*slow, 2);
    ASSERT_THAT(received, SizeIs(2));
    const Delivery& extended = received[received[0].message.payload == "extended" ? 0 : 1];

    const std::jthread handler([&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            sync_wait(slow->extend(extended));
            std::this_thread::sleep_for(std::chrono::milliseconds{100});  // as a consumer does, now and then
        }
    });
    const auto other = subscription(short_lived);
    // Twice: more than the whole visibility of the other one has gone by then.
    for (int round = 2; round <= 3; ++round) {
        const auto again = receive(*other, 1);
        ASSERT_THAT(payloads(again), ElementsAre("forgotten"));
        EXPECT_TRUE(again[0].redelivered);
        EXPECT_EQ(again[0].attempt, round);
    }
    sync_wait(slow->acknowledge(extended));
}

TEST_P(AwsSubscriptions, what_a_subscription_held_comes_at_once_to_another) {
    aws::SubscriptionOptions long_lived = options(false);
    long_lived.visibility = std::chrono::hours{1};
    aws::SqsPublisher publisher{broker()};
    std::vector<StoredMessage> sent;
    for (int i = 0; i < 25; ++i)
        sent.push_back(message("orders", "customer-" + std::to_string(i), std::to_string(i)));
    ASSERT_EQ(publish(publisher, sent), 25U);
    {
        const auto first = subscription(long_lived);
        ASSERT_THAT(receive(*first, 25), SizeIs(25));
    }
    const auto second = subscription(long_lived);
    const auto again = receive(*second, 25);
    EXPECT_THAT(again, SizeIs(25));
    EXPECT_TRUE(std::ranges::all_of(again, &Delivery::redelivered));
}

TEST_P(AwsSubscriptions, no_more_is_taken_than_is_asked_for) {
    aws::SqsPublisher publisher{broker()};
    std::vector<StoredMessage> sent;
    for (int i = 0; i < 20; ++i)
        sent.push_back(message("orders", "customer-" + std::to_string(i), std::to_string(i)));
    ASSERT_EQ(publish(publisher, sent), 20U);
    const auto modest = subscription(options(false));
    ASSERT_THAT(receive(*modest, 3), SizeIs(3));
    const auto other = subscription(options(false));
    EXPECT_THAT(receive(*other, 17), SizeIs(17));
}

TEST_P(AwsSubscriptions, wrapped_and_raw_deliveries_are_both_understood) {
    aws::SnsPublisher publisher{broker()};
    sync_wait(aws::subscribe({"orders"}, options(true)));
    // A queue that somebody subscribed in the ordinary way: SNS wraps what it gets.
    aws::detail::Sqs sqs{broker().client};
    const std::string url = sync_wait(sqs.create(prefix_ + "orders--wrapped", {}));
    const std::string arn = sync_wait(sqs.attributes(url)).at("QueueArn");
    aws::detail::Sns sns{broker().client};
    const std::string topic = sync_wait(sns.create(prefix_ + "orders", false));
    aws::Client client{broker().client, aws::Service{"sns", "sns", aws::Protocol::query}};
    sync_wait(
        client.call({}, "Action=Subscribe&Version=2010-03-31&Protocol=sqs&TopicArn=" + topic + "&Endpoint=" + arn));

    const std::vector sent{message("orders", "anna", "{\"total\": 1.50}")};
    ASSERT_EQ(publish(publisher, sent), 1U);
    for (const std::string consumer : {"default", "wrapped"}) {
        aws::SubscriptionOptions reading = options(true);
        reading.consumer = consumer;
        const auto received = receive(*subscription(reading), 1);
        ASSERT_THAT(received, SizeIs(1));
        StoredMessage arrived = received[0].message;
        EXPECT_EQ(arrived, sent[0]) << consumer;
    }
}

TEST_P(AwsSubscriptions, tomodachi_services_and_txm_understand_each_other) {
    aws::BrokerOptions wrapping = broker();
    wrapping.envelope = aws::Envelope::tomodachi;
    aws::SnsPublisher publisher{wrapping};
    sync_wait(aws::subscribe({"orders"}, options(true)));
    std::vector sent{message("orders", "anna", "{\"total\": 1.50}"),
                     message("orders", "bert", '"' + std::string(100'000, 'x') + '"')};
    ASSERT_EQ(publish(publisher, sent), 2U);
    const auto received = receive(*subscription(options(true)), 2);
    EXPECT_THAT(payloads(received), UnorderedElementsAre(sent[0].payload, sent[1].payload));
    for (const Delivery& delivery : received)
        EXPECT_TRUE(delivery.message == sent[0] || delivery.message == sent[1]);
}

TEST_P(AwsSubscriptions, what_others_send_has_an_id_that_stays) {
    aws::SubscriptionOptions reading = options(false);
    aws::detail::Sqs sqs{broker().client};
    const std::string url = sync_wait(sqs.create(prefix_ + "orders", {}));
    aws::Client client{broker().client, aws::Service{"sqs", "sqs"}};
    for (int i = 0; i < 2; ++i)
        sync_wait(client.call("AmazonSQS.SendMessage", R"({"QueueUrl":")" + url + R"(","MessageBody":"hello"})"));
    std::set<Uuid> first, second;
    {
        const auto subscription = this->subscription(reading);
        for (const Delivery& delivery : receive(*subscription, 2))
            first.insert(delivery.message.message_id);
    }
    const auto subscription = this->subscription(reading);
    for (const Delivery& delivery : receive(*subscription, 2)) {
        second.insert(delivery.message.message_id);
        EXPECT_EQ(delivery.message.payload, "hello");
        EXPECT_NE(delivery.message.stored_at, Timestamp{});
    }
    EXPECT_EQ(first.size(), 2U);
    EXPECT_EQ(first, second);
}

TEST_P(AwsSubscriptions, a_quiet_topic_does_not_keep_a_consumer_of_one_at_a_time_from_another) {
    aws::SqsPublisher publisher{broker()};
    const std::vector sent{message("orders", "anna", "1"), message("orders", "bert", "2")};
    ASSERT_EQ(publish(publisher, sent), 2U);
    aws::SubscriptionOptions reading = options(false);
    reading.wait = std::chrono::seconds{20};
    aws::Subscription subscription{{"aaa-quiet", "orders", "zzz-quiet"}, reading};
    for (int i = 0; i < 2; ++i) {
        const auto received = receive(subscription, 1);
        ASSERT_THAT(received, SizeIs(1));
        acknowledge(subscription, received);
    }
}

TEST(AwsSubscription, a_name_that_no_queue_can_have_is_refused) {
    aws::BrokerOptions broker{aws::ClientOptions{"eu-west-1"}};
    EXPECT_THROW((aws::Subscription{{"orders"}, aws::SubscriptionOptions{broker, "no name"}}), Error);
    EXPECT_THROW((aws::Subscription{{"orders.created"}, aws::SubscriptionOptions{broker}}), Error);
    EXPECT_THROW((aws::Subscription{{"orders"}, aws::SubscriptionOptions{broker, ""}}), Error);
    aws::SubscriptionOptions impatient{broker};
    impatient.visibility = std::chrono::seconds{0};
    EXPECT_THROW((aws::Subscription{{"orders"}, impatient}), Error);
    EXPECT_THROW((aws::Subscription{{}, aws::SubscriptionOptions{broker}}), std::invalid_argument);
}

constexpr const char* no_queue = R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"})";

aws::SubscriptionOptions options_at(const FakeHttp& http) {
    aws::ClientOptions client{"us-east-1"};
    client.endpoint = http.endpoint();
    client.credentials = aws::Credentials{"test", "test"};
    client.max_attempts = 1;
    aws::SubscriptionOptions options{aws::BrokerOptions{client}};
    options.behind_sns = false;
    return options;
}

void expect_outage(aws::Subscription& subscription) {
    try {
        sync_wait(subscription.receive(1));
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::broker_unavailable) << e.what();
    }
}

/// An SQS with one queue of many messages, which answers as it is told.
class FakeQueue {
public:
    FakeHttp http{[this](const HttpRequest& request) { return answer(request); }};

    std::atomic<bool> fails_to_delete{false}, forgets_handles{false}, is_deleted{false};

    std::vector<std::size_t> deleted() const {
        const std::lock_guard lock(mutex_);
        return deleted_;
    }

    int extended() const { return extended_; }

    aws::SubscriptionOptions options() const { return options_at(http); }

private:
    HttpAnswer answer(const HttpRequest& request) {
        const std::string target = request.header("x-amz-target").substr(std::string("AmazonSQS.").size());
        const auto body = boost::json::parse(request.body).as_object();
        if (target == "GetQueueUrl")
            return HttpAnswer(200, R"({"QueueUrl":"http://q/1/orders"})");
        if (target == "GetQueueAttributes")
            return HttpAnswer(200, R"({"Attributes":{"QueueArn":"arn:aws:sqs:us-east-1:1:orders"}})");
        if (target == "ReceiveMessage") {
            boost::json::array messages;
            for (std::int64_t i = 0; i < body.at("MaxNumberOfMessages").as_int64(); ++i) {
                const std::string id = std::to_string(++last_);
                messages.push_back(boost::json::object{{"MessageId", id}, {"ReceiptHandle", id}, {"Body", id}});
            }
            return HttpAnswer(200, boost::json::serialize(boost::json::object{{"Messages", messages}}));
        }
        const auto& entries = body.at("Entries").as_array();
        if (target == "ChangeMessageVisibilityBatch")
            ++extended_;
        if (target != "DeleteMessageBatch")
            return HttpAnswer(200, "{}");
        if (is_deleted)
            return HttpAnswer(400, no_queue);
        if (fails_to_delete)
            return HttpAnswer(503, R"({"__type":"ServiceUnavailable","message":"busy"})");
        boost::json::array done;
        for (const auto& entry : entries)
            done.push_back(boost::json::object{{"Id", entry.at("Id")},
                                               {"SenderFault", true},
                                               {"Code", "ReceiptHandleIsInvalid"},
                                               {"Message", "expired"}});
        const std::lock_guard lock(mutex_);
        deleted_.push_back(entries.size());
        return HttpAnswer(
            200, boost::json::serialize(boost::json::object{{forgets_handles ? "Failed" : "Successful", done}}));
    }

    std::atomic<int> last_{0}, extended_{0};
    mutable std::mutex mutex_;
    std::vector<std::size_t> deleted_;
};

TEST(AwsSubscription, acknowledgements_at_the_same_time_share_requests) {
    FakeQueue queue;
    aws::Subscription subscription{{"orders"}, queue.options()};
    const auto received = receive(subscription, 500);
    ASSERT_THAT(received, SizeIs(500));
    acknowledge(subscription, received);
    std::size_t sum = 0;
    for (const std::size_t size : queue.deleted())
        sum += size;
    EXPECT_EQ(sum, 500U);
    EXPECT_LT(queue.deleted().size(), 100U);
}

TEST(AwsSubscription, an_acknowledgement_that_failed_can_be_made_again) {
    FakeQueue queue;
    aws::Subscription subscription{{"orders"}, queue.options()};
    const auto received = receive(subscription, 1);
    queue.fails_to_delete = true;
    try {
        acknowledge(subscription, received);
        FAIL();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::broker_unavailable);
        EXPECT_THAT(e.what(), HasSubstr("busy"));
    }
    queue.fails_to_delete = false;
    acknowledge(subscription, received);
    EXPECT_THAT(queue.deleted(), ElementsAre(1U));
    acknowledge(subscription, received);  // it is done: nothing is sent
    EXPECT_THAT(queue.deleted(), SizeIs(1));
}

TEST(AwsSubscription, a_handle_that_is_no_good_any_more_ends_its_delivery) {
    FakeQueue queue;
    queue.forgets_handles = true;
    aws::Subscription subscription{{"orders"}, queue.options()};
    EXPECT_NO_THROW(acknowledge(subscription, receive(subscription, 1)));
}

TEST(AwsSubscription, a_delivery_of_a_queue_that_is_gone_is_over) {
    FakeQueue queue;
    aws::Subscription subscription{{"orders"}, queue.options()};
    const auto received = receive(subscription, 1);
    queue.is_deleted = true;
    EXPECT_NO_THROW(acknowledge(subscription, received));
}

// At any step of what it does in the beginning: an answer may have come that nobody looked at yet.
TEST(AwsSubscription, may_end_while_it_looks_for_its_queues) {
    FakeQueue queue;
    for (int round = 0; round < 60; ++round) {
        aws::SubscriptionOptions options = queue.options();
        auto subscription =
            std::make_unique<aws::Subscription>(std::vector<std::string>{"orders", "credit", "refunds"}, options);
        std::jthread receiver([&] { sync_wait(subscription->receive(30)); });
        std::this_thread::sleep_for(std::chrono::microseconds{100 * (round % 30)});
        subscription->interrupt();
        receiver.join();
        subscription = nullptr;
    }
}

TEST(AwsSubscription, tells_how_often_it_must_be_extended) {
    FakeQueue queue;
    aws::SubscriptionOptions options = queue.options();
    options.visibility = std::chrono::seconds{6};
    const aws::Subscription subscription{{"orders"}, options};
    EXPECT_EQ(subscription.extend_within(), std::chrono::seconds{2});
}

// Also to those who make it and read nothing.
TEST(AwsSubscription, a_queue_that_was_just_made_is_waited_for) {
    std::atomic<int> asked = 0;
    const FakeHttp http{[&](const HttpRequest& request) {
        const std::string target = request.header("x-amz-target");
        if (target == "AmazonSQS.GetQueueUrl")
            return HttpAnswer(400, no_queue);
        if (target == "AmazonSQS.CreateQueue")
            return HttpAnswer(200, R"({"QueueUrl":"http://q/1/orders"})");
        return ++asked < 3 ? HttpAnswer(400, no_queue) : HttpAnswer(200, "{}");
    }};
    EXPECT_NO_THROW(sync_wait(aws::subscribe({"orders"}, options_at(http))));
    EXPECT_EQ(asked, 3);
}

TEST(AwsSubscription, a_queue_that_is_deleted_is_made_again_and_is_no_end) {
    std::atomic<bool> is_deleted = false, is_made_again = false;
    const FakeHttp http{[&](const HttpRequest& request) {
        const std::string target = request.header("x-amz-target");
        if (target == "AmazonSQS.CreateQueue")
            is_made_again = true;
        if (target == "AmazonSQS.ReceiveMessage" && !is_made_again)
            is_deleted = true;
        if (is_deleted && !is_made_again)
            return HttpAnswer(400, no_queue);
        if (target == "AmazonSQS.GetQueueUrl" || target == "AmazonSQS.CreateQueue")
            return HttpAnswer(200, R"({"QueueUrl":"http://q/1/orders"})");
        if (target == "AmazonSQS.ReceiveMessage")
            return HttpAnswer(200, R"({"Messages":[{"MessageId":"1","ReceiptHandle":"1","Body":"hello"}]})");
        return HttpAnswer(200, "{}");
    }};
    aws::Subscription subscription{{"orders"}, options_at(http)};
    expect_outage(subscription);
    EXPECT_THAT(payloads(sync_wait(subscription.receive(1))), ElementsAre("hello"));
}

TEST(AwsSubscription, the_shortest_visibility_is_extended_in_time) {
    FakeQueue queue;
    aws::SubscriptionOptions options = queue.options();
    options.visibility = std::chrono::seconds{1};
    aws::Subscription subscription{{"orders"}, options};
    const auto received = receive(subscription, 1);
    ASSERT_THAT(received, SizeIs(1));
    // As a consumer does: twice, and others see the message only after the third time.
    for (int i = 0; i < 2; ++i) {
        std::this_thread::sleep_for(subscription.extend_within() + std::chrono::milliseconds{20});
        sync_wait(subscription.extend(received[0]));
    }
    acknowledge(subscription, received);  // behind what it was told before
    EXPECT_GT(queue.extended(), 0);
}

// An error of a poll that nobody was told of, and that is over.
TEST(AwsSubscription, an_outage_that_is_over_is_not_told) {
    std::mutex mutex;
    std::condition_variable changed;
    int polls = 0;
    const FakeHttp http{[&](const HttpRequest& request) {
        const std::string target = request.header("x-amz-target");
        if (target == "AmazonSQS.GetQueueUrl")
            return HttpAnswer(200, R"({"QueueUrl":"http://q/1/orders"})");
        if (target != "AmazonSQS.ReceiveMessage")
            return HttpAnswer(200, "{}");
        std::unique_lock lock(mutex);
        const int poll = ++polls;
        changed.notify_all();
        boost::json::array messages;
        for (int i = 0; i < (poll == 1 ? 10 : 1); ++i) {
            const std::string id = std::to_string(10 * poll + i);
            messages.push_back(boost::json::object{{"MessageId", id}, {"ReceiptHandle", id}, {"Body", id}});
        }
        HttpAnswer answer(200, boost::json::serialize(boost::json::object{{"Messages", messages}}));
        if (poll == 2 || poll == 3)
            changed.wait(lock, [&] { return polls < 0; });
        if (poll == 2)
            return HttpAnswer(503, R"({"__type":"ServiceUnavailable","message":"down"})");
        answer.delay = std::chrono::milliseconds{poll == 3 ? 500 : 0};  // behind the other's
        return answer;
    }};
    aws::Subscription subscription{{"orders"}, options_at(http)};
    ASSERT_THAT(receive(subscription, 10), SizeIs(10));  // a full poll: two at once are worth it from now on
    std::jthread receiver([&] { EXPECT_THAT(sync_wait(subscription.receive(20)), SizeIs(0)); });
    {
        std::unique_lock lock(mutex);
        ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds{10}, [&] { return polls == 3; }));
    }
    subscription.interrupt();
    receiver.join();
    {
        const std::lock_guard lock(mutex);
        polls = -1000;
        changed.notify_all();
    }
    std::this_thread::sleep_for(std::chrono::seconds{1});  // nobody waits for what comes now
    std::vector<Delivery> received;
    while (received.empty()) {
        try {
            received = sync_wait(subscription.receive(1));
        } catch (const Error&) {
            // told while it was still on
        }
    }
    EXPECT_THAT(payloads(received), ElementsAre("30"));
    EXPECT_THAT(sync_wait(subscription.receive(1)), SizeIs(1));
}

TEST(AwsSubscription, an_outage_is_told_and_is_no_end) {
    std::atomic<bool> is_down = true;
    FakeHttp http{[&](const HttpRequest& request) {
        if (is_down)
            return HttpAnswer(503, R"({"__type":"ServiceUnavailable","message":"down"})");
        const std::string target = request.header("x-amz-target");
        if (target == "AmazonSQS.GetQueueUrl")
            return HttpAnswer(200, R"({"QueueUrl":"http://q/1/orders"})");
        if (target == "AmazonSQS.ReceiveMessage")
            return HttpAnswer(200, R"({"Messages":[{"MessageId":"1","ReceiptHandle":"1","Body":"hello"}]})");
        return HttpAnswer(200, "{}");
    }};
    aws::Subscription subscription{{"orders"}, options_at(http)};
    expect_outage(subscription);
    is_down = false;
    std::vector<Delivery> received;
    while (received.empty()) {
        try {
            received = sync_wait(subscription.receive(1));
        } catch (const Error&) {
            // told once more
        }
    }
    EXPECT_THAT(payloads(received), ElementsAre("hello"));
}

}  // namespace
}  // namespace txm::test
