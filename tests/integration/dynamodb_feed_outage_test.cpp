#include "integration/dynamodb_beside_fixture.hpp"
#include "txm/error.hpp"

#include <atomic>
#include <future>
#include <utility>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

/// A table whose stream, or a part of it, is out of order.
class DynamoDbStreamOutage : public DynamoDbBeside {
protected:
    DynamoDbStreamOutage() { streams_.add_shard("shard-1"); }

    void show(const std::string& shard, const StoredMessage& message) { streams_.insert(shard, row(message).value()); }

    /// Counts looks at the index.
    void count_looks() {
        before([this](const std::string& action, const std::string& body) {
            looks_ += action == "Query" && body.find("NotDispatchedMessagesIndex") != std::string::npos ? 1 : 0;
            return std::optional<HttpAnswer>();
        });
    }

    FakeStreams streams_;
    std::atomic<int> looks_{0};
};

TEST_F(DynamoDbStreamOutage, of_one_shard_keeps_no_message_waiting) {
    streams_.add_shard("shard-2");
    dynamodb::OutboxFeed feed{between_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    streams_.break_shard("shard-2");
    show("shard-1", publish("a", "a1"));
    show("shard-2", publish("b", "b1"));
    EXPECT_THAT(take(relay, 2), UnorderedElementsAre("a1", "b1"));
    try {
        relay.read();
        ADD_FAILURE() << "it says nothing of the shard";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::store_unavailable);
    }
    publish("b", "b2");  // which no shard shows
    EXPECT_THAT(take(relay, 1), ElementsAre("b2"));
    streams_.mend_shard("shard-2");
    show("shard-2", publish("b", "b3"));
    EXPECT_THAT(take(relay, 1), ElementsAre("b3"));
    EXPECT_TRUE(relay.is_drained());
}

TEST_F(DynamoDbStreamOutage, in_which_nobody_tells_of_the_table_keeps_no_message_waiting) {
    dynamodb::OutboxFeed feed{between_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    show("shard-1", publish("a", "a1"));
    streams_.add_shard("shard-2", "shard-1");
    streams_.end_shard("shard-1");
    EXPECT_THAT(take(relay, 1), ElementsAre("a1"));
    before([&](const std::string& action, const std::string&) {
        return action == "DescribeTable" ? std::optional(HttpAnswer(500)) : std::nullopt;
    });
    show("shard-2", publish("a", "a2"));
    EXPECT_THAT(take(relay, 1), ElementsAre("a2"));
    before({});
    show("shard-2", publish("a", "a3"));
    EXPECT_THAT(take(relay, 1), ElementsAre("a3"));
    EXPECT_TRUE(relay.is_drained());
}

TEST_F(DynamoDbStreamOutage, of_the_index_too_makes_the_walk_through_it_wait) {
    dynamodb::OutboxFeed feed{between_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    show("shard-1", publish("a", "a1"));
    EXPECT_THAT(take(relay, 1), ElementsAre("a1"));
    relay.release();
    show("shard-1", publish("a", "a2"));
    streams_.trim("shard-1");
    relay.acquire();
    bool is_refused = false;
    before([&](const std::string& action, const std::string& body) {
        const bool is_page = action == "Query" && body.find("NotDispatchedMessagesIndex") != std::string::npos;
        return is_page && !std::exchange(is_refused, true) ? std::optional(refusal()) : std::nullopt;
    });
    EXPECT_THROW(relay.read(), Error);
    EXPECT_THAT(take(relay, 1), ElementsAre("a2"));
}

// As after a stop whose time was over: the answer to what was asked comes to a feed that has given its lease back.
TEST_F(DynamoDbStreamOutage, over_a_release_leaves_a_feed_that_works) {
    dynamodb::OutboxFeed feed{between_, poll_options()};
    FeedReader relay{feed};
    relay.acquire();
    publish("a", "a1");
    std::promise<void> asked, answered;
    std::atomic<bool> is_first = true;
    before([&](const std::string& action, const std::string&) {
        if (action == "BatchGetItem" && is_first.exchange(false)) {
            asked.set_value();
            answered.get_future().wait();
        }
        return std::optional<HttpAnswer>();
    });
    auto abandoned = std::async(std::launch::async, [&] {
        try {
            relay.read();
        } catch (const Error& e) {
            EXPECT_EQ(e.code(), Errc::fence_lost) << e.what();
        }
    });
    asked.get_future().wait();
    relay.release();
    auto again = std::async(std::launch::async, [&] { relay.acquire(); });
    answered.set_value();
    abandoned.get();
    again.get();
    EXPECT_THAT(take(relay, 1), ElementsAre("a1"));
}

TEST_F(DynamoDbStreamOutage, has_the_index_looked_at_no_more_often_than_a_feed_without_stream_does) {
    dynamodb::FeedOptions options = stream_options(streams_);
    options.poll_interval = 10min;
    dynamodb::OutboxFeed feed{between_, options};
    FeedReader relay{feed};
    relay.acquire();
    streams_.break_shard("shard-1");
    count_looks();
    EXPECT_THROW(relay.read(), Error);
    EXPECT_THROW(relay.read(), Error);
    EXPECT_THROW(relay.read(), Error);
    EXPECT_EQ(looks_, 1);
}

}  // namespace
}  // namespace txm::test
