#include "support/aws_names.hpp"
#include "support/broker_messages.hpp"
#include "support/fake_http.hpp"
#include "support/server.hpp"
#include "txm/aws.hpp"
#include "txm/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace txm::test {
namespace {

namespace json = boost::json;
using Report = PublishBatch::Report;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

aws::BrokerOptions options_for(const FakeHttp& fake, bool fifo = false) {
    aws::ClientOptions client{"us-east-1"};
    client.endpoint = fake.endpoint();
    client.credentials = aws::Credentials{"test", "test"};
    client.max_attempts = 2;
    aws::BrokerOptions options{client};
    options.fifo = fifo;
    return options;
}

/// An SQS that has every queue, and says of each entry what the test does.
class FakeSqs {
public:
    using Entry = json::object;
    /// Empty: taken. Otherwise `Code`, after `!` when the sender is to blame.
    std::function<std::string(const Entry&)> verdict = [](const Entry&) { return std::string(); };
    std::function<HttpAnswer(const json::object&)> whole_request{};
    int together = 0;  ///< nothing is answered before so many requests are there at the same time

    FakeHttp http{[this](const HttpRequest& request) { return answer(request); }};

    std::vector<std::vector<Entry>> batches() const {
        const std::lock_guard lock(mutex_);
        return batches_;
    }
    bool were_together() const {
        const std::lock_guard lock(mutex_);
        return most_at_once_ >= together;
    }

private:
    HttpAnswer answer(const HttpRequest& request) {
        const json::object body = json::parse(request.body).as_object();
        if (request.header("x-amz-target") == "AmazonSQS.GetQueueUrl")
            return HttpAnswer(200,
                              R"({"QueueUrl":"http://q/1/)" + std::string(body.at("QueueName").as_string()) + "\"}");
        {
            std::unique_lock lock(mutex_);
            most_at_once_ = std::max(most_at_once_, ++at_once_);
            changed_.notify_all();
            changed_.wait_for(lock, std::chrono::seconds{10}, [this] { return most_at_once_ >= together; });
            --at_once_;
        }
        std::vector<Entry> entries;
        json::array done, failed;
        for (const json::value& value : body.at("Entries").as_array()) {
            const Entry& entry = entries.emplace_back(value.as_object());
            const std::string why = verdict(entry);
            if (why.empty())
                done.push_back(json::object{{"Id", entry.at("Id")}});
            else
                failed.push_back(json::object{{"Id", entry.at("Id")},
                                              {"SenderFault", why.starts_with('!')},
                                              {"Code", why.starts_with('!') ? why.substr(1) : why},
                                              {"Message", "as the test says"}});
        }
        HttpAnswer result(200, json::serialize(json::object{{"Successful", done}, {"Failed", failed}}));
        if (whole_request)
            result = whole_request(body);
        const std::lock_guard lock(mutex_);
        batches_.push_back(std::move(entries));
        return result;
    }

    mutable std::mutex mutex_;
    std::vector<std::vector<Entry>> batches_;
    std::condition_variable changed_;
    int at_once_ = 0, most_at_once_ = 0;
};

std::string text(const json::object& object, const char* name) {
    return std::string(object.at(name).as_string());
}

/// Publishes as a relay does: on an executor that goes on meanwhile.
std::exception_ptr publish_async(Publisher& publisher, PublishBatch& batch) {
    boost::asio::io_context context;
    std::exception_ptr problem;
    boost::asio::co_spawn(context, publisher.publish(batch), [&](std::exception_ptr e) { problem = e; });
    context.run();
    return problem;
}

std::string what(const std::exception_ptr& problem) {
    try {
        if (problem)
            std::rethrow_exception(problem);
        return {};
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::broker_unavailable) << e.what();
        return e.what();
    }
}

std::vector<StoredMessage> messages(int count, const std::string& topic = "orders") {
    std::vector<StoredMessage> result;
    for (int i = 0; i < count; ++i)
        result.push_back(message(topic, topic + "-customer-" + std::to_string(i), std::to_string(i)));
    return result;
}

TEST(SqsPublisher, sqs_batch_one_per_group) {
    FakeSqs sqs;
    aws::SqsPublisher publisher{options_for(sqs.http, true)};
    std::vector<StoredMessage> sent;
    for (int i = 1; i <= 3; ++i)
        for (const char* aggregate : {"anna", "bert", "carl", "dora"})
            sent.push_back(message("orders", aggregate, std::to_string(i)));
    PublishBatch batch(sent);
    EXPECT_EQ(what(publish_async(publisher, batch)), "");
    std::map<std::string, std::vector<std::string>> arrived;
    for (const auto& entries : sqs.batches()) {
        std::set<std::string> groups;
        for (const auto& entry : entries) {
            EXPECT_TRUE(groups.insert(text(entry, "MessageGroupId")).second);
            arrived[text(entry, "MessageGroupId")].push_back(text(entry, "MessageBody"));
        }
    }
    ASSERT_EQ(arrived.size(), 4U);
    for (const auto& [aggregate, numbers] : arrived)
        EXPECT_THAT(numbers, ElementsAre("1", "2", "3")) << aggregate;
}

TEST(SqsPublisher, what_follows_a_message_that_was_not_taken_is_not_sent) {
    FakeSqs sqs;
    sqs.verdict = [](const auto& entry) {
        const std::string body = text(entry, "MessageBody");
        return body == "refused" ? "!InvalidMessageContents" : body == "lost" ? "InternalError" : "";
    };
    aws::SqsPublisher publisher{options_for(sqs.http, true)};
    const std::vector sent{message("orders", "anna", "refused"), message("orders", "bert", "lost"),
                           message("orders", "carl", "1"),       message("orders", "anna", "2"),
                           message("orders", "bert", "2"),       message("orders", "carl", "2")};
    PublishBatch batch(sent);
    EXPECT_THAT(what(publish_async(publisher, batch)), HasSubstr("InternalError"));
    EXPECT_EQ(batch.report(0), Report::refused);
    EXPECT_THAT(batch.reason(0), HasSubstr("InvalidMessageContents: as the test says"));
    EXPECT_EQ(batch.report(1), Report::unknown);
    EXPECT_EQ(batch.report(2), Report::acknowledged);
    EXPECT_EQ(batch.report(3), Report::unknown);
    EXPECT_EQ(batch.report(4), Report::unknown);
    EXPECT_EQ(batch.report(5), Report::acknowledged);
}

TEST(SqsPublisher, many_requests_are_in_flight_at_once) {
    FakeSqs sqs;
    sqs.together = 10;
    aws::SqsPublisher publisher{options_for(sqs.http)};
    const auto sent = messages(200);
    PublishBatch batch(sent);
    EXPECT_EQ(what(publish_async(publisher, batch)), "");
    EXPECT_THAT(sqs.batches(), SizeIs(20));
    EXPECT_THAT(sqs.batches(), Each(SizeIs(10)));
    EXPECT_TRUE(sqs.were_together());
    EXPECT_GE(publisher.max_concurrent_batches(), 4U);
}

TEST(SqsPublisher, a_topic_that_fails_does_not_hold_up_another) {
    FakeSqs sqs;
    sqs.whole_request = [](const json::object& body) {
        if (text(body, "QueueUrl").ends_with("credit"))
            return HttpAnswer(500, R"({"__type":"InternalFailure","message":"down"})");
        return HttpAnswer(200, R"({"Successful":[{"Id":"0"},{"Id":"1"}]})");
    };
    aws::SqsPublisher publisher{options_for(sqs.http)};
    std::vector<StoredMessage> sent = messages(2, "credit");
    std::ranges::copy(messages(2), std::back_inserter(sent));
    PublishBatch batch(sent);
    EXPECT_THAT(what(publish_async(publisher, batch)), HasSubstr("down"));
    EXPECT_EQ(batch.report(0), Report::unknown);
    EXPECT_EQ(batch.report(2), Report::acknowledged);
    EXPECT_EQ(batch.report(3), Report::acknowledged);
    EXPECT_NE(publisher.destination(sent[0]), publisher.destination(sent[2]));
}

TEST(SqsPublisher, one_that_spoils_a_request_is_found_and_its_neighbours_are_sent) {
    FakeSqs sqs;
    sqs.whole_request = [](const json::object& body) {
        for (const auto& entry : body.at("Entries").as_array())
            if (text(entry.as_object(), "MessageBody") == "3")
                return HttpAnswer(400, R"({"__type":"com.amazonaws.sqs#BatchRequestTooLong","message":"too long"})");
        return HttpAnswer(200, R"({"Successful":[{"Id":"0"}]})");
    };
    aws::SqsPublisher publisher{options_for(sqs.http)};
    const auto sent = messages(6);
    PublishBatch batch(sent);
    EXPECT_EQ(what(publish_async(publisher, batch)), "");
    for (std::size_t i = 0; i < sent.size(); ++i)
        EXPECT_EQ(batch.report(i), i == 3 ? Report::refused : Report::acknowledged) << i;
    EXPECT_THAT(batch.reason(3), HasSubstr("too long"));
}

// While others of its topic are taken, and for longer than another failure is borne.
TEST(SqsPublisher, what_is_throttled_is_postponed) {
    FakeSqs sqs;
    std::atomic<int> throttled = 0;
    sqs.whole_request = [&](const json::object& body) {
        const json::array& entries = body.at("Entries").as_array();
        if (std::ranges::any_of(entries,
                                [](const auto& entry) { return text(entry.as_object(), "MessageBody") == "5"; })) {
            ++throttled;
            return HttpAnswer(400, R"({"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow down"})");
        }
        json::array done;
        for (const auto& entry : entries)
            done.push_back(json::object{{"Id", entry.at("Id")}});
        return HttpAnswer(200, json::serialize(json::object{{"Successful", done}}));
    };
    aws::BrokerOptions options = options_for(sqs.http);
    options.client.max_attempts = 5;
    aws::SqsPublisher publisher{options};
    const auto sent = messages(20);
    PublishBatch batch(sent);
    EXPECT_THAT(what(publish_async(publisher, batch)), HasSubstr("slow down"));
    for (std::size_t i = 0; i < sent.size(); ++i)
        EXPECT_EQ(batch.report(i), i < 10 ? Report::postponed : Report::acknowledged) << i;
    EXPECT_EQ(throttled, 5);
}

TEST(SqsPublisher, one_of_a_request_that_is_throttled_is_postponed) {
    FakeSqs sqs;
    sqs.verdict = [](const auto& entry) { return text(entry, "MessageBody") == "1" ? "RequestThrottled" : ""; };
    aws::SqsPublisher publisher{options_for(sqs.http)};
    const auto sent = messages(3);
    PublishBatch batch(sent);
    EXPECT_THAT(what(publish_async(publisher, batch)), HasSubstr("RequestThrottled"));
    for (std::size_t i = 0; i < sent.size(); ++i)
        EXPECT_EQ(batch.report(i), i == 1 ? Report::postponed : Report::acknowledged) << i;
}

TEST(SqsPublisher, a_missing_permission_is_an_outage_of_its_topic) {
    FakeSqs sqs;
    sqs.whole_request = [](const json::object&) {
        return HttpAnswer(
            403, R"({"__type":"AccessDeniedException","message":"not authorized to perform sqs:SendMessage"})");
    };
    aws::SqsPublisher publisher{options_for(sqs.http)};
    const auto sent = messages(1);
    PublishBatch batch(sent);
    EXPECT_THAT(what(publish_async(publisher, batch)), HasSubstr("sqs:SendMessage"));
    EXPECT_EQ(batch.report(0), Report::postponed);
}

// No message is to blame for a key that is disabled, so none becomes a dead letter.
TEST(SqsPublisher, an_encryption_key_that_cannot_be_used_is_an_outage_of_its_topic) {
    FakeSqs sqs;
    aws::SqsPublisher publisher{options_for(sqs.http)};
    const auto sent = messages(1);
    for (const char* answer :
         {R"({"__type":"com.amazonaws.sqs#KmsDisabled","message":"the key is disabled"})",
          R"({"Failed":[{"Id":"0","SenderFault":true,"Code":"KmsDisabled","Message":"the key is disabled"}]})"}) {
        sqs.whole_request = [&](const json::object&) { return HttpAnswer(answer[2] == '_' ? 400 : 200, answer); };
        PublishBatch batch(sent);
        EXPECT_THAT(what(publish_async(publisher, batch)), HasSubstr("the key is disabled"));
        EXPECT_EQ(batch.report(0), Report::postponed) << answer;
    }
}

// No message is to blame: its topic is a good name.
TEST(SqsPublisher, a_queue_that_cannot_be_made_is_an_outage_of_its_topic) {
    for (const char* why : {"QueueNameExists", "InvalidAttributeValue", "UnsupportedOperation"}) {
        const FakeHttp http{[&](const HttpRequest& request) {
            const std::string target = request.header("x-amz-target");
            if (target == "AmazonSQS.GetQueueUrl" && request.body.find("credit") != std::string::npos)
                return HttpAnswer(400, R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"})");
            if (target == "AmazonSQS.CreateQueue")
                return HttpAnswer(400, R"({"__type":"com.amazonaws.sqs#)" + std::string(why) + R"(","message":"no"})");
            if (target == "AmazonSQS.GetQueueUrl")
                return HttpAnswer(200, R"({"QueueUrl":"http://q/1/orders"})");
            return HttpAnswer(200, R"({"Successful":[{"Id":"0"}]})");
        }};
        aws::SqsPublisher publisher{options_for(http)};
        const std::vector sent{message("credit", "anna", "1"), message("orders", "bert", "2")};
        PublishBatch batch(sent);
        const std::string said = what(publish_async(publisher, batch));
        EXPECT_THAT(said, HasSubstr("\"credit\""));
        EXPECT_THAT(said, HasSubstr(why));
        EXPECT_EQ(batch.report(0), Report::postponed);
        EXPECT_EQ(batch.report(1), Report::acknowledged);
    }
}

TEST(SnsPublisher, a_topic_that_cannot_be_made_is_an_outage_of_its_topic) {
    const FakeHttp http{[](const HttpRequest& request) {
        if (request.body.starts_with("Action=CreateTopic&") && request.body.find("credit") != std::string::npos)
            return HttpAnswer(403,
                              "<ErrorResponse><Error><Type>Sender</Type><Code>TopicLimitExceeded</Code>"
                              "<Message>Topic limit exceeded</Message></Error></ErrorResponse>");
        if (request.body.starts_with("Action=CreateTopic&"))
            return HttpAnswer(200,
                              "<CreateTopicResponse><CreateTopicResult><TopicArn>arn:aws:sns:us-east-1:1:orders"
                              "</TopicArn></CreateTopicResult></CreateTopicResponse>");
        if (request.body.starts_with("Action=ListTopics&"))
            return HttpAnswer(200, "<ListTopicsResponse><ListTopicsResult></ListTopicsResult></ListTopicsResponse>");
        return HttpAnswer(200,
                          "<PublishBatchResponse><PublishBatchResult><Successful><member><Id>0</Id></member>"
                          "</Successful></PublishBatchResult></PublishBatchResponse>");
    }};
    aws::SnsPublisher publisher{options_for(http)};
    const std::vector sent{message("credit", "anna", "1"), message("orders", "bert", "2")};
    PublishBatch batch(sent);
    EXPECT_THAT(what(publish_async(publisher, batch)), HasSubstr("TopicLimitExceeded"));
    EXPECT_EQ(batch.report(0), Report::postponed);
    EXPECT_EQ(batch.report(1), Report::acknowledged);
}

TEST(SqsPublisher, a_queue_that_somebody_made_meanwhile_is_found) {
    std::atomic<bool> is_made = false;
    const FakeHttp http{[&](const HttpRequest& request) {
        const std::string target = request.header("x-amz-target");
        if (target == "AmazonSQS.GetQueueUrl" && !is_made)
            return HttpAnswer(400, R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"})");
        if (target == "AmazonSQS.CreateQueue") {
            is_made = true;
            return HttpAnswer(400, R"({"__type":"com.amazonaws.sqs#QueueNameExists","message":"other attributes"})");
        }
        if (target == "AmazonSQS.GetQueueUrl")
            return HttpAnswer(200, R"({"QueueUrl":"http://q/1/orders"})");
        return HttpAnswer(200, R"({"Successful":[{"Id":"0"}]})");
    }};
    aws::SqsPublisher publisher{options_for(http)};
    const auto sent = messages(1);
    PublishBatch batch(sent);
    EXPECT_EQ(what(publish_async(publisher, batch)), "");
    EXPECT_EQ(batch.report(0), Report::acknowledged);
}

// For a second or so after it was made.
TEST(SqsPublisher, a_queue_that_is_not_there_yet_is_an_outage_of_its_topic) {
    FakeSqs sqs;
    sqs.whole_request = [](const json::object&) {
        return HttpAnswer(400, R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"})");
    };
    aws::SqsPublisher publisher{options_for(sqs.http)};
    const auto sent = messages(1);
    PublishBatch batch(sent);
    EXPECT_THAT(what(publish_async(publisher, batch)), HasSubstr("QueueDoesNotExist"));
    EXPECT_EQ(batch.report(0), Report::postponed);
}

/// An SQS that takes requests to send and does not answer them, as long as it lives.
class SilentSqs {
public:
    ~SilentSqs() {
        const std::lock_guard lock(mutex_);
        is_over_ = true;
        changed_.notify_all();
    }

    aws::BrokerOptions options() const {
        aws::BrokerOptions options = options_for(http);
        options.client.request_timeout = std::chrono::seconds{1};
        options.client.max_connections = 4;
        options.client.max_attempts = 1;
        return options;
    }

private:
    HttpAnswer answer(const HttpRequest& request) {
        if (request.header("x-amz-target") == "AmazonSQS.GetQueueUrl")
            return HttpAnswer(200, R"({"QueueUrl":"http://q/1/orders"})");
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return is_over_; });
        return HttpAnswer();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_over_ = false;

public:
    FakeHttp http{[this](const HttpRequest& request) { return answer(request); }};
};

TEST(SqsPublisher, an_outage_is_found_out_once) {
    SilentSqs sqs;
    aws::SqsPublisher publisher{sqs.options()};
    const auto sent = messages(512);
    PublishBatch batch(sent);
    EXPECT_THAT(what(publish_async(publisher, batch)), HasSubstr("no answer"));
    int unknown = 0;
    for (std::size_t i = 0; i < sent.size(); ++i) {
        ASSERT_TRUE(batch.report(i) == Report::unknown || batch.report(i) == Report::postponed) << i;
        unknown += batch.report(i) == Report::unknown;
    }
    EXPECT_LT(unknown, 200);  // what was sent
    // As many as there are connections, some more that were ready, and one that asked for the queue: 52 are needed for all.
    EXPECT_LT(sqs.http.count(), 20U);
}

TEST(SqsPublisher, cancelled_it_waits_for_no_answer) {
    SilentSqs sqs;
    aws::BrokerOptions options = sqs.options();
    options.client.request_timeout = std::chrono::seconds{20};
    aws::SqsPublisher publisher{options};
    const auto sent = messages(512);
    PublishBatch batch(sent);
    boost::asio::io_context context;
    boost::asio::cancellation_signal cancellation;
    std::exception_ptr problem;
    boost::asio::co_spawn(
        context, publisher.publish(batch),
        boost::asio::bind_cancellation_slot(cancellation.slot(), [&](std::exception_ptr e) { problem = e; }));
    std::jthread canceller([&] {
        EXPECT_TRUE(sqs.http.wait_for(5));
        boost::asio::post(context, [&] { cancellation.emit(boost::asio::cancellation_type::terminal); });
    });
    context.run();
    EXPECT_THAT(what(problem), HasSubstr("was closed before"));
    EXPECT_EQ(sqs.http.count(), 5U);
}

// A relay that was given up is not the last one that a program has.
TEST(SqsPublisher, what_follows_one_that_was_cancelled_is_sent) {
    FakeSqs sqs;
    aws::SqsPublisher publisher{options_for(sqs.http)};
    const auto sent = messages(20);
    PublishBatch cancelled(sent), batch(sent);
    boost::asio::io_context context;
    boost::asio::cancellation_signal cancellation;
    boost::asio::co_spawn(context, publisher.publish(cancelled),
                          boost::asio::bind_cancellation_slot(cancellation.slot(), [](const std::exception_ptr&) {}));
    boost::asio::post(context, [&] { cancellation.emit(boost::asio::cancellation_type::terminal); });
    context.run();
    EXPECT_EQ(what(publish_async(publisher, batch)), "");
    for (std::size_t i = 0; i < sent.size(); ++i)
        EXPECT_EQ(batch.report(i), Report::acknowledged);
}

TEST(SqsPublisher, requests_are_small_enough) {
    FakeSqs sqs;
    aws::SqsPublisher publisher{options_for(sqs.http)};
    auto sent = messages(30);
    for (StoredMessage& m : sent)
        m.payload = std::string(100'000, 'x');
    sent[7].payload = std::string(1'000'000, 'x');
    PublishBatch batch(sent);
    EXPECT_EQ(what(publish_async(publisher, batch)), "");
    for (const auto& entries : sqs.batches()) {
        std::size_t size = 0;
        for (const auto& entry : entries)
            size += text(entry, "MessageBody").size();
        EXPECT_TRUE(size <= 262'144 || entries.size() == 1) << size;
    }
    EXPECT_LT(sqs.batches().size(), 20U);
}

/// Servers that play SNS and SQS.
class AwsPublishers : public testing::TestWithParam<const char*> {
protected:
    const Server& server_ = Server::shared(GetParam());
    aws::BrokerOptions options_ = aws_options(server_, new_prefix());

    aws::SubscriptionOptions reading(bool behind_sns) const {
        aws::SubscriptionOptions options{options_};
        options.behind_sns = behind_sns;
        options.wait = std::chrono::seconds{1};
        options.max_polls = 1;
        return options;
    }
};

INSTANTIATE_TEST_SUITE_P(Servers, AwsPublishers, testing::Values("fauxqs", "moto"),
                         [](const auto& server) { return std::string(server.param); });

TEST_P(AwsPublishers, a_message_that_is_too_large_does_not_hold_up_its_neighbours) {
    sync_wait(aws::subscribe({"orders"}, reading(true)));
    for (const bool sns : {true, false}) {
        std::unique_ptr<Publisher> publisher;
        if (sns)
            publisher = std::make_unique<aws::SnsPublisher>(options_);
        else
            publisher = std::make_unique<aws::SqsPublisher>(options_);
        auto sent = messages(12);
        sent[4].payload = std::string(sns ? 262'144 : 1'048'576, 'x');  // and its headers
        sent[5].payload = std::string(sns ? 261'000 : 1'040'000, 'x');
        PublishBatch batch(sent);
        EXPECT_EQ(what(publish_async(*publisher, batch)), "");
        for (std::size_t i = 0; i < sent.size(); ++i)
            EXPECT_EQ(batch.report(i), i == 4 ? Report::refused : Report::acknowledged) << i << batch.reason(i);
        EXPECT_THAT(batch.reason(4), HasSubstr(sns ? "SNS takes 262144 bytes" : "SQS takes 1048576 bytes"));
        aws::Subscription subscription{{"orders"}, reading(sns)};
        EXPECT_EQ(drain(subscription).size(), 11U);
    }
}

TEST_P(AwsPublishers, a_topic_that_can_have_no_name_is_refused) {
    aws::SnsPublisher sns{options_};
    const std::vector sent{message("orders.created", "anna", "1"), message("orders", "bert", "2")};
    PublishBatch batch(sent);
    EXPECT_EQ(what(publish_async(sns, batch)), "");
    EXPECT_EQ(batch.report(0), Report::refused);
    EXPECT_THAT(batch.reason(0), HasSubstr("letters, digits"));
    EXPECT_EQ(batch.report(1), Report::acknowledged);
}

TEST_P(AwsPublishers, what_is_missing_and_must_not_be_made_is_refused_by_name) {
    aws::SnsPublisher maker{options_};
    const std::vector existing{message("orders", "bert", "2")};
    ASSERT_EQ(publish(maker, existing), 1U);
    options_.create = false;
    aws::SnsPublisher sns{options_};
    aws::SqsPublisher sqs{options_};
    const std::vector sent{message("credit", "anna", "1"), message("orders", "bert", "2")};
    PublishBatch batch(sent), to_queues(sent);
    EXPECT_EQ(what(publish_async(sns, batch)), "");
    EXPECT_EQ(batch.report(0), Report::refused);
    EXPECT_THAT(batch.reason(0), HasSubstr(options_.prefix + "credit"));
    EXPECT_THAT(batch.reason(0), HasSubstr("txm migrate --broker"));
    EXPECT_EQ(batch.report(1), Report::acknowledged);
    EXPECT_EQ(what(publish_async(sqs, to_queues)), "");
    EXPECT_EQ(to_queues.report(0), Report::refused);
    EXPECT_THAT(to_queues.reason(0), HasSubstr("txm migrate --broker"));
}

}  // namespace
}  // namespace txm::test
