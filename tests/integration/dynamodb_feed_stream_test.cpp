#include "integration/dynamodb_stream_fixture.hpp"

#include <future>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST_F(DynamoDbStream, records_in_any_order_come_in_their_aggregates_order) {
    const StoredMessage a1 = publish("a", "a1"), a2 = publish("a", "a2"), b1 = publish("b", "b1"),
                        a3 = publish("a", "a3");
    insert("shard-1", a3);
    insert("shard-1", a1);
    insert("shard-1", b1);
    insert("shard-1", a2);
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    std::vector<StoredMessage> read;
    while (read.size() < 4) {
        for (StoredMessage& message : relay.read())
            read.push_back(std::move(message));
    }
    EXPECT_THAT(payloads_of(read, "a"), ElementsAre("a1", "a2", "a3"));
    EXPECT_THAT(payloads_of(read, "b"), ElementsAre("b1"));
}

TEST_F(DynamoDbStream, what_was_just_written_waits_for_its_predecessor_on_another_shard) {
    streams_.add_shard("shard-2");
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    auto read = std::async(std::launch::async, [&] { return take(relay, 3); });
    wait_until_read("shard-1");
    wait_until_read("shard-2");
    const StoredMessage one = publish("a", "1"), two = publish("a", "2"), three = publish("a", "3");
    insert("shard-2", three);
    insert("shard-1", two);
    wait_until_read("shard-2");
    insert("shard-2", one);
    EXPECT_THAT(read.get(), ElementsAre("1", "2", "3"));
}

TEST_F(DynamoDbStream, a_predecessor_that_no_shard_shows_is_found_in_the_table) {
    publish("a", "1");
    publish("a", "2");
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    insert("shard-1", publish("a", "3"));
    EXPECT_THAT(take(relay, 3), ElementsAre("1", "2", "3"));
    EXPECT_TRUE(relay.is_drained());
}

TEST_F(DynamoDbStream, a_predecessor_that_is_settled_and_forgotten_keeps_nothing_waiting) {
    insert("shard-1", publish("a", "1"));
    {
        dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
        FeedReader relay{feed};
        relay.acquire();
        EXPECT_THAT(take(relay, 1), ElementsAre("1"));
        relay.release();
    }
    insert("shard-1", publish("a", "2"));
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
}

TEST_F(DynamoDbStream, a_shard_that_was_split_keeps_its_order) {
    const StoredMessage a1 = publish("a", "a1", false), a2 = publish("a", "a2", false);
    insert("shard-1", a1);
    streams_.add_shard("shard-0", "shard-1");  // its name sorts before its parent's
    insert("shard-0", a2);
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 1), ElementsAre("a1"));
    EXPECT_THAT(streams_.begun(), ElementsAre("shard-1"));
    streams_.end_shard("shard-1");
    EXPECT_THAT(take(relay, 1), ElementsAre("a2"));
    EXPECT_THAT(streams_.begun(), ElementsAre("shard-1", "shard-0"));
}

TEST_F(DynamoDbStream, a_new_shard_is_found_when_its_parent_ends) {
    insert("shard-1", publish("a", "1"));
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 1), ElementsAre("1"));
    streams_.add_shard("shard-2", "shard-1");
    streams_.end_shard("shard-1");
    insert("shard-2", publish("a", "2"));
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
}

TEST_F(DynamoDbStream, an_expired_iterator_is_replaced_and_nothing_comes_twice) {
    insert("shard-1", publish("a", "1"));
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 1, false), ElementsAre("1"));
    streams_.expire_iterators();
    insert("shard-1", publish("b", "2"));
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
    EXPECT_EQ(streams_.starts("shard-1").size(), 2U);
}

TEST_F(DynamoDbStream, what_was_trimmed_before_it_was_read_is_found_in_the_table) {
    insert("shard-1", publish("a", "1"));
    {
        dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
        FeedReader relay{feed};
        relay.acquire();
        EXPECT_THAT(take(relay, 1), ElementsAre("1"));
        relay.release();
    }
    insert("shard-1", publish("a", "2"));
    insert("shard-1", publish("a", "3"));
    streams_.trim("shard-1");
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 2), ElementsAre("2", "3"));
}

TEST_F(DynamoDbStream, a_shard_that_disappears_unread_makes_the_table_be_looked_at) {
    streams_.add_shard("shard-2", "shard-1");
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    insert("shard-2", publish("a", "1"));
    streams_.remove_shard("shard-2");
    streams_.end_shard("shard-1");
    EXPECT_THAT(take(relay, 1), ElementsAre("1"));
}

TEST_F(DynamoDbStream, what_the_stream_never_showed_is_swept_up_when_it_is_old_enough) {
    dynamodb::OutboxFeed feed{*db_, sweeping_options()};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage message = publish("a", "1");
    EXPECT_THAT(take(relay, 1, false), ElementsAre("1"));
    // Its record is late, and the index shows it as long as it is not settled: it is not given again.
    insert("shard-1", message);
    relay.settle({message});
    insert("shard-1", publish("b", "2"));
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
}

TEST_F(DynamoDbStream, what_the_stream_never_showed_is_swept_up_though_it_always_shows_something) {
    dynamodb::OutboxFeed feed{*db_, sweeping_options()};
    FeedReader relay{feed};
    relay.acquire();
    streams_.keep_busy("shard-1");
    publish("a", "1");
    EXPECT_THAT(take(relay, 1), ElementsAre("1"));
    publish("a", "2");
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
}

TEST_F(DynamoDbStream, a_restart_goes_on_behind_what_is_settled_and_before_what_is_not) {
    const StoredMessage a1 = publish("a", "a1"), b1 = publish("b", "b1"), c1 = publish("c", "c1");
    const std::string first = insert("shard-1", a1);
    insert("shard-1", b1);
    insert("shard-1", c1);
    {
        dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
        FeedReader relay{feed};
        relay.acquire();
        std::vector<StoredMessage> read;
        while (read.size() < 3) {
            for (StoredMessage& message : relay.read())
                read.push_back(std::move(message));
        }
        relay.settle({a1, c1});
        relay.release();
    }
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 1), ElementsAre("b1"));
    EXPECT_THAT(streams_.starts("shard-1"), ElementsAre("TRIM_HORIZON", first));
}

TEST_F(DynamoDbStream, a_parked_message_does_not_keep_the_position) {
    const StoredMessage stuck = publish("stuck", "s1");
    insert("shard-1", stuck);
    std::string last;
    {
        dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
        FeedReader relay{feed};
        relay.acquire();
        EXPECT_THAT(take(relay, 1, false), ElementsAre("s1"));
        relay.park(stuck, 1, now() + 24h);
        insert("shard-1", publish("stuck", "s2"));
        last = insert("shard-1", publish("free", "f1"));
        EXPECT_THAT(take(relay, 1), ElementsAre("f1"));
        relay.release();
    }
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    sync_wait(feed.unpark("stuck"));
    EXPECT_THAT(take(relay, 1), ElementsAre("s1"));
    EXPECT_THAT(take(relay, 1), ElementsAre("s2"));
    EXPECT_THAT(streams_.starts("shard-1"), ElementsAre("TRIM_HORIZON", last));
}

TEST_F(DynamoDbStream, what_another_relay_sent_is_not_sent_again) {
    const StoredMessage one = publish("a", "1");
    insert("shard-1", one);
    mark_elsewhere(one);
    insert("shard-1", publish("a", "2"));
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
}

TEST_F(DynamoDbStream, a_row_that_a_program_sets_back_by_hand_is_sent_again) {
    const StoredMessage one = publish("a", "1");
    mark_elsewhere(one);
    dynamodb::Item old_row = row(one).value(), new_row = old_row;
    new_row.insert_or_assign("NotDispatched", "x");
    put(new_row);
    streams_.modify("shard-1", old_row, new_row);
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 1), ElementsAre("1"));
}

TEST_F(DynamoDbStream, rows_with_and_without_numbers_share_an_aggregate) {
    insert("shard-1", publish("a", "first", false));
    insert("shard-1", publish("a", "second"));
    insert("shard-1", publish("a", "between", false));
    insert("shard-1", publish("a", "third"));
    dynamodb::OutboxFeed feed{*db_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    const auto read = take(relay, 4);
    EXPECT_THAT(read, UnorderedElementsAre("first", "second", "between", "third"));
    EXPECT_LT(std::ranges::find(read, "second"), std::ranges::find(read, "third"));
    EXPECT_TRUE(relay.is_drained());
}

}  // namespace
}  // namespace txm::test
