#pragma once

#include "integration/dynamodb_feed_fixture.hpp"
#include "support/fake_publisher.hpp"

#include <string>
#include <vector>

namespace txm::test {

/// Its events are what the tests put together.
class DynamoDbStep : public DynamoDbFeed {
protected:
    /// An event as AWS Lambda gives it: records numbered from 1 on.
    std::string event_of(const std::vector<StoredMessage>& messages) {
        std::string records;
        int number = 0;
        for (const StoredMessage& message : messages) {
            records += records.empty() ? "" : ",";
            records += R"({"eventID":"e","eventSource":"aws:dynamodb","eventName":"INSERT","dynamodb":{)"
                       R"("ApproximateCreationDateTime":1700000000,"SequenceNumber":")" +
                       std::to_string(++number) + R"(","NewImage":)";
            dynamodb::detail::append_json(records, row(message).value());
            records += "}}";
        }
        return R"({"Records":[)" + records + "]}";
    }

    std::string run(const std::string& event) {
        dynamodb::FeedOptions options = feed_options();
        options.compat = is_shared_;
        dynamodb::StreamStep step{*db_, broker_, options};
        return sync_wait(step.run(event));
    }

    /// Messages of one aggregate, `1`, `2`, …, each behind so many bytes. @return the last
    StoredMessage publish_chain(int length, std::size_t bytes) {
        StoredMessage message;
        message.aggregate_id = "a";
        message.topic = "orders";
        for (int number = 1; number <= length;) {
            dynamodb::Session session{*db_};
            dynamodb::OutboxRepository outbox{outbox_, session, TopicMap{}};
            for (int i = 0; i < 40 && number <= length; ++i, ++number) {
                message.message_id = new_uuid();
                message.payload = std::string(bytes, ' ') + std::to_string(number);
                message.created_at = now();
                outbox.publish(message);
            }
            sync_wait(session.commit());
        }
        return this->message(message.message_id).value();
    }

    static constexpr const char* all_done = R"({"batchItemFailures":[]})";
    txm::testing::FakePublisher broker_;
    bool is_shared_ = false;  ///< with programs that know only the original attributes
};

}  // namespace txm::test
