#pragma once

#include "contract/feed_reader.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "support/fake_streams.hpp"
#include "support/own_credentials.hpp"
#include "support/server.hpp"
#include "txm/dynamodb_feed.hpp"
#include "txm/sync_wait.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace txm::test {

/// An outbox of its own for each test, on a server that the test program shares; its stream is real, or a fake's.
class DynamoDbFeed : public ::testing::Test {
protected:
    static dynamodb::DatabaseOptions database_options(const std::string& endpoint) {
        dynamodb::DatabaseOptions options;
        options.client.region = "eu-west-1";
        options.client.endpoint = endpoint;
        options.client.credentials = own_credentials();
        return options;
    }

    DynamoDbFeed() { sync_wait(dynamodb::create_outbox_table(*db_, outbox_)); }

    /// Nothing but the stream is looked at, as long as nothing is lost.
    dynamodb::FeedOptions stream_options(const FakeStreams& streams) const {
        dynamodb::FeedOptions options = feed_options();
        options.streams_endpoint = streams.endpoint();
        options.kind = dynamodb::FeedKind::tail;
        options.sweep_age = std::chrono::hours{1};
        return options;
    }
    dynamodb::FeedOptions feed_options() const {
        dynamodb::FeedOptions options;
        options.table = outbox_;
        options.poll_interval = std::chrono::milliseconds{20};
        return options;
    }

    /// Commits a message as an application does; numbered unless told not to be.
    StoredMessage publish(const std::string& aggregate_id, const std::string& payload, bool ordered = true) {
        dynamodb::Session session{*db_};
        dynamodb::OutboxOptions options;
        options.ordered = ordered;
        dynamodb::OutboxRepository outbox{outbox_, session, TopicMap{}, options};
        StoredMessage message;
        message.message_id = new_uuid();
        message.aggregate_id = aggregate_id;
        message.topic = "orders";
        message.type = "order-created";
        message.payload = payload;
        message.created_at = last_ = std::max(now(), last_ + std::chrono::microseconds{1});
        outbox.publish(message);
        sync_wait(session.commit());
        return this->message(message.message_id).value();
    }

    std::optional<StoredMessage> message(const Uuid& id) {
        dynamodb::Session session{*db_};
        dynamodb::OutboxRepository outbox{outbox_, session, TopicMap{}};
        return sync_wait(outbox.get(id));
    }

    std::optional<dynamodb::Item> item(const std::string& table, const dynamodb::Item& key) {
        return sync_wait(db_->impl().get_item(table, key));
    }
    std::optional<dynamodb::Item> row(const StoredMessage& message) {
        return item(outbox_, dynamodb::detail::outbox_key(message.message_id));
    }
    std::string state_table() const { return outbox_ + "-txm"; }

    /// What another program does.
    void call(const std::string& action, std::string body) { sync_wait(db_->impl().call(action, std::move(body))); }
    void put(const dynamodb::Item& row) {
        std::string body = R"({"TableName":")" + outbox_ + R"(","Item":)";
        dynamodb::detail::append_json(body, row);
        call("PutItem", body + "}");
    }

    /// The program that was there before relays it, too.
    void mark_elsewhere(const StoredMessage& message) {
        dynamodb::Session session{*db_};
        dynamodb::OutboxRepository outbox{outbox_, session, TopicMap{}};
        sync_wait(outbox.mark_as_dispatched(message.message_id));
    }

    /// Reads until that many messages have come. @param settles what is read, at once
    static std::vector<std::string> take(FeedReader& relay, std::size_t count, bool settles = true) {
        std::vector<std::string> all;
        while (all.size() < count) {
            const std::vector<StoredMessage> some = relay.read();
            for (const std::string& payload : payloads(some))
                all.push_back(payload);
            if (settles)
                relay.settle(some);
        }
        return all;
    }

    const std::string outbox_ = "outbox-" + new_uuid().to_string();
    std::unique_ptr<dynamodb::Database> db_ =
        std::make_unique<dynamodb::Database>(database_options(Server::shared("dynamodb").endpoint()));
    Timestamp last_{};
};

}  // namespace txm::test
