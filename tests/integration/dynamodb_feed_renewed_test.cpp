#include "integration/dynamodb_stream_fixture.hpp"
#include "stores/dynamodb/feed_chain.hpp"
#include "txm/error.hpp"

#include <boost/json/value.hpp>

#include <future>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

/// A table whose stream is disabled and enabled again.
class DynamoDbRenewedStream : public DynamoDbStream {
protected:
    void disable_stream() {
        update_table(R"({"StreamEnabled":false})");
        streams_.disable();
    }
    /// The new one has the shard `new-1`.
    void enable_stream() {
        update_table(R"({"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"})");
        const boost::json::object answer =
            sync_wait(db_->impl().request("DescribeTable", R"({"TableName":")" + outbox_ + "\"}"));
        streams_.renew(std::string(answer.at("Table").at("LatestStreamArn").as_string()));
        streams_.add_shard("new-1");
    }
    /// What it has sent is in the old stream, what it has not in none; that call fails the first time.
    void renew_while_refusing(FeedReader& relay, const std::string& action) {
        relay.acquire();
        insert("shard-1", publish("a", "a1"));
        EXPECT_THAT(take(relay, 1), ElementsAre("a1"));
        publish("a", "a2");
        disable_stream();
        enable_stream();
        streams_.refuse_next(action);
    }

private:
    void update_table(const std::string& stream) {
        call("UpdateTable", R"({"TableName":")" + outbox_ + R"(","StreamSpecification":)" + stream + "}");
    }
};

TEST_F(DynamoDbRenewedStream, while_no_relay_ran_loses_nothing_and_sends_nothing_twice) {
    const StoredMessage first = publish("a", "a1");
    insert("shard-1", first);
    {
        dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
        FeedReader relay{feed};
        relay.acquire();
        EXPECT_THAT(take(relay, 1), ElementsAre("a1"));
        relay.release();
    }
    insert("shard-1", publish("b", "b1"));  // of the old stream, which nobody reads any more
    disable_stream();
    publish("c", "c1");  // of no stream
    const StoredMessage sent = publish("a", "a2");
    mark_elsewhere(sent);
    enable_stream();
    insert("new-1", publish("d", "d1"));
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 3), UnorderedElementsAre("b1", "c1", "d1"));
    insert("new-1", publish("a", "a3"));
    EXPECT_THAT(take(relay, 1), ElementsAre("a3"));
    EXPECT_TRUE(relay.is_drained());
    EXPECT_THAT(streams_.starts("new-1"), ElementsAre("TRIM_HORIZON"));
    EXPECT_THAT(streams_.starts("shard-1"), SizeIs(1));
    for (const StoredMessage& m : {first, sent})
        EXPECT_EQ(message(m.message_id)->approximate_dispatch_count, 1);
}

TEST_F(DynamoDbRenewedStream, while_a_relay_runs_loses_nothing_and_sends_nothing_twice) {
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage first = publish("a", "a1");
    insert("shard-1", first);
    EXPECT_THAT(take(relay, 1), ElementsAre("a1"));
    publish("a", "a2");  // its record is never read
    publish("c", "c1");
    disable_stream();
    enable_stream();
    insert("new-1", publish("a", "a3"));
    std::vector<std::string> read = take(relay, 3);
    std::erase(read, "c1");
    EXPECT_THAT(read, ElementsAre("a2", "a3"));
    insert("new-1", publish("a", "a4"));
    EXPECT_THAT(take(relay, 1), ElementsAre("a4"));
    EXPECT_THAT(streams_.starts("new-1"), ElementsAre("TRIM_HORIZON"));
    EXPECT_EQ(message(first.message_id)->approximate_dispatch_count, 1);
    EXPECT_TRUE(relay.is_drained());
}

TEST_F(DynamoDbRenewedStream, as_long_as_there_is_none_the_table_is_looked_at) {
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    insert("shard-1", publish("a", "a1"));
    EXPECT_THAT(take(relay, 1), ElementsAre("a1"));
    disable_stream();
    publish("a", "a2");
    EXPECT_THAT(take(relay, 1), ElementsAre("a2"));
    publish("a", "a3");
    EXPECT_THAT(take(relay, 1), ElementsAre("a3"));
    enable_stream();
    publish("b", "b1");
    EXPECT_THAT(take(relay, 1), ElementsAre("b1"));
    EXPECT_TRUE(relay.is_drained());
}

TEST_F(DynamoDbRenewedStream, is_opened_again_when_that_failed_the_first_time) {
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    renew_while_refusing(relay, "DescribeStream");
    EXPECT_THROW(relay.read(), Error);
    EXPECT_THAT(take(relay, 1), ElementsAre("a2"));
    insert("new-1", publish("a", "a3"));
    EXPECT_THAT(take(relay, 1), ElementsAre("a3"));
}

TEST_F(DynamoDbRenewedStream, loses_nothing_though_its_first_shard_cannot_be_read_at_once) {
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    renew_while_refusing(relay, "GetShardIterator");
    EXPECT_THROW(relay.read(), Error);
    EXPECT_THAT(take(relay, 1), ElementsAre("a2"));
}

TEST_F(DynamoDbStream, what_one_shard_has_lost_is_found_in_the_table_though_another_cannot_be_read_at_once) {
    insert("shard-1", publish("a", "a1"));
    {
        dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
        FeedReader relay{feed};
        relay.acquire();
        EXPECT_THAT(take(relay, 1), ElementsAre("a1"));
        relay.release();
    }
    insert("shard-1", publish("a", "a2"));
    streams_.trim("shard-1");
    streams_.add_shard("shard-2");
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    streams_.refuse_next("GetRecords");  // of the second: an iterator of the first says what is lost
    EXPECT_THROW(relay.read(), Error);
    EXPECT_THAT(take(relay, 1), ElementsAre("a2"));
}

TEST_F(DynamoDbStream, shards_that_are_listed_in_pages_are_all_read) {
    streams_.list_in_pages_of(2);
    for (const char* shard : {"shard-2", "shard-3", "shard-4", "shard-5"})
        streams_.add_shard(shard, std::string(shard) == "shard-2" ? "shard-5" : "");
    insert("shard-1", publish("a", "a1"));
    insert("shard-3", publish("b", "b1"));
    insert("shard-4", publish("c", "c1"));
    insert("shard-5", publish("d", "d1", false));
    streams_.end_shard("shard-5");
    insert("shard-2", publish("d", "d2", false));  // its parent is on a later page
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    std::vector<std::string> read = take(relay, 5);
    EXPECT_THAT(read, UnorderedElementsAre("a1", "b1", "c1", "d1", "d2"));
    EXPECT_LT(std::ranges::find(read, "d1"), std::ranges::find(read, "d2"));
    EXPECT_TRUE(relay.is_drained());
}

TEST_F(DynamoDbStream, of_an_aggregate_that_it_has_forgotten_the_table_says_what_comes_first) {
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage a1 = publish("a", "a1"), b1 = publish("b", "b1"), c1 = publish("c", "c1");
    dynamodb::Item other = row(a1).value();
    auto first = std::async(std::launch::async, [&] { return relay.read_until("c1"); });
    wait_until_read("shard-1");
    wait_until_read("shard-1");  // it is at the end: what comes now is known to be new
    for (const StoredMessage& message : {a1, b1, c1})
        insert("shard-1", message);
    const std::vector<StoredMessage> given = first.get();
    ASSERT_THAT(payloads(given), ElementsAre("a1", "b1", "c1"));
    relay.settle({a1, b1});  // c1 stays in flight

    // Of more aggregates than are remembered: each has one message, which only the stream knows.
    constexpr std::size_t at_once = 1024;
    for (std::size_t others = 0; others < dynamodb::detail::Chain::default_capacity; others += at_once) {
        for (std::size_t i = 0; i < at_once; ++i) {
            const Uuid id = new_uuid();
            other.insert_or_assign("PK", "MESSAGE#" + id.to_string());
            other.insert_or_assign("MessageId", id);
            other.insert_or_assign("AggregateId", id);
            streams_.insert("shard-1", other);
        }
        take(relay, at_once, false);
    }

    insert("shard-1", publish("a", "a2"));  // behind one that is settled
    EXPECT_THAT(take(relay, 1, false), ElementsAre("a2"));
    publish("b", "b2");
    insert("shard-1", publish("b", "b3"));  // behind one that waits, and that no shard shows
    EXPECT_THAT(take(relay, 2, false), ElementsAre("b2", "b3"));
    insert("shard-1", publish("c", "c2"));  // behind one that is out
    EXPECT_THAT(take(relay, 1, false), ElementsAre("c2"));
}

}  // namespace
}  // namespace txm::test
