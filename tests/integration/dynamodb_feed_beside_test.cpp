#include "integration/dynamodb_beside_fixture.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <exception>
#include <thread>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST_F(DynamoDbBeside, what_an_operator_sends_again_while_its_lane_is_cleared_is_sent) {
    for (const bool compat : {false, true}) {
        dynamodb::FeedOptions options = poll_options();
        options.compat = compat;
        dynamodb::OutboxFeed feed{between_, options};
        FeedReader relay{feed};
        relay.acquire();
        const StoredMessage message = publish(new_uuid().to_string(), "1", !compat);
        EXPECT_THAT(payloads(relay.read()), ElementsAre("1"));
        relay.park(message, 1, now() + 1h);
        mark_elsewhere(message);
        if (compat)
            call("PutItem", R"({"TableName":")" + state_table() +
                                R"(","Item":{"PK":{"S":"META"},"SK":{"S":"COMPAT"},"Compat":{"BOOL":true}}})");
        bool is_done = false;
        before([&](const std::string& action, const std::string& body) -> std::optional<HttpAnswer> {
            const auto removed = body.find("Delete");
            if (!is_done && action == "TransactWriteItems" && removed != std::string::npos &&
                body.find("PARKED#", removed) != std::string::npos) {
                is_done = true;
                EXPECT_EQ(sync_wait(admin()->replay(of(message), {})), 1U);
            }
            return std::nullopt;
        });
        sync_wait(feed.unpark(message.aggregate_id));
        const std::vector<StoredMessage> again = relay.read();
        EXPECT_TRUE(is_done);
        EXPECT_THAT(payloads(again), ElementsAre("1"));
        EXPECT_EQ(again.at(0).replays, 1);
        relay.settle(again);
        before({});
        EXPECT_TRUE(relay.is_drained());
        relay.release();
    }
}

TEST_F(DynamoDbBeside, what_waits_behind_a_dead_letter_is_given_back_though_a_call_fails_in_between) {
    dynamodb::OutboxFeed feed{between_, poll_options()};
    FeedReader relay{feed};
    const StoredMessage dead = publish("a", "1");
    publish("a", "2");
    publish("a", "3");
    relay.acquire();
    EXPECT_THAT(take(relay, 3, false), ElementsAre("1", "2", "3"));
    int writes = 0;
    before([&](const std::string& action, const std::string&) -> std::optional<HttpAnswer> {
        return action == "TransactWriteItems" && ++writes == 2 ? std::optional(refusal()) : std::nullopt;
    });
    EXPECT_THROW(relay.settle({dead}, Settlement::held, "refused"), Error);
    relay.settle({dead}, Settlement::held, "refused");
    EXPECT_EQ(message(dead.message_id)->state, MessageState::dead);
    EXPECT_TRUE(relay.is_drained());
    publish("a", "4");
    EXPECT_EQ(sync_wait(admin()->skip(of(dead), {})), 1U);
    EXPECT_THAT(take(relay, 3), ElementsAre("2", "3", "4"));
}

TEST_F(DynamoDbBeside, lanes_that_are_blocked_beside_each_other_share_transactions) {
    dynamodb::OutboxFeed feed{between_, poll_options()};
    FeedReader relay{feed};
    relay.acquire();
    std::vector<StoredMessage> messages;
    for (int i = 0; i < 16; ++i)
        messages.push_back(publish("a" + std::to_string(i), std::to_string(i)));
    take(relay, messages.size(), false);
    mark_elsewhere(messages.at(5));
    std::atomic<int> writes = 0;
    before([&](const std::string& action, const std::string&) -> std::optional<HttpAnswer> {
        // Slow as over a network, so that others come meanwhile.
        if (action == "TransactWriteItems" && ++writes > 0)
            std::this_thread::sleep_for(50ms);
        return std::nullopt;
    });
    boost::asio::io_context context;
    const auto rethrow = [](const std::exception_ptr& failure) {
        if (failure)
            std::rethrow_exception(failure);
    };
    for (const StoredMessage& message : messages)
        boost::asio::co_spawn(context, feed.park(message.aggregate_id, message.sequence, 1, now() + 1h, "refused"),
                              rethrow);
    context.run();
    EXPECT_LE(writes, 8);
    for (const StoredMessage& message : messages) {
        EXPECT_TRUE(item(state_table(), dynamodb::detail::lane_key(message.aggregate_id)));
        const bool is_sent = message.message_id == messages.at(5).message_id;
        EXPECT_EQ(this->message(message.message_id)->state, is_sent ? MessageState::dispatched : MessageState::parked);
    }
}

TEST_F(DynamoDbBeside, a_lease_that_was_taken_is_kept_when_the_start_fails_afterwards) {
    dynamodb::FeedOptions options = feed_options();
    options.streams_endpoint = Server::shared("dynamodb").endpoint();
    options.lease_term = 10min;  // waiting for its end would take that long
    dynamodb::OutboxFeed feed{between_, options};
    bool has_failed = false;
    before([&](const std::string& action, const std::string&) -> std::optional<HttpAnswer> {
        return action == "DescribeTable" && !std::exchange(has_failed, true) ? std::optional(refusal()) : std::nullopt;
    });
    EXPECT_THROW(sync_wait(feed.acquire()), Error);
    const Fence fence = sync_wait(feed.acquire());
    EXPECT_EQ(fence.value, 1);
    EXPECT_TRUE(fence.clean_start);
}

}  // namespace
}  // namespace txm::test
