#include "integration/dynamodb_feed_fixture.hpp"
#include "support/fake_http.hpp"

#include <boost/json/array.hpp>

#include <csignal>
#include <fstream>
#include <sstream>

#include <sys/wait.h>
#include <unistd.h>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class DynamoDbFeedOf : public DynamoDbFeed, public testing::WithParamInterface<dynamodb::FeedKind> {
protected:
    dynamodb::FeedOptions options() const {
        dynamodb::FeedOptions options = feed_options();
        options.kind = GetParam();
        return options;
    }
};

INSTANTIATE_TEST_SUITE_P(Kinds, DynamoDbFeedOf, testing::Values(dynamodb::FeedKind::tail, dynamodb::FeedKind::poll),
                         [](const auto& param) { return param.param == dynamodb::FeedKind::tail ? "tail" : "poll"; });

TEST_P(DynamoDbFeedOf, the_rows_of_the_original_are_relayed_and_marked_as_it_does) {
    std::ifstream in{TXM_SOURCE_DIR "/tests/data/dynamodb/outbox.json"};
    std::ostringstream text;
    text << in.rdbuf();
    std::size_t pending = 0;
    const boost::json::object scan = dynamodb::detail::parse_object(text.str());
    for (const boost::json::value& value : scan.at("Items").as_array()) {
        const dynamodb::Item original = dynamodb::detail::item_from(value.as_object());
        pending += original.contains("NotDispatched");
        put(original);
    }
    ASSERT_GT(pending, 0U);
    dynamodb::FeedOptions compat = options();
    compat.compat = true;
    dynamodb::OutboxFeed feed{*db_, compat};
    FeedReader relay{feed};
    relay.acquire();
    std::vector<StoredMessage> read;
    while (read.size() < pending) {
        const std::vector<StoredMessage> some = relay.read();
        relay.settle(some);
        read.insert(read.end(), some.begin(), some.end());
    }
    EXPECT_TRUE(relay.is_drained());
    for (const StoredMessage& message : read) {
        const dynamodb::Item marked = row(message).value();
        EXPECT_FALSE(marked.contains("NotDispatched"));
        EXPECT_EQ(marked.at("ApproximateDispatchCount").integer(), 1);
        EXPECT_TRUE(marked.at("IsDispatched").boolean());
        EXPECT_THAT(marked.at("LastDispatchedAt").text(), testing::EndsWith("+00:00"));
        EXPECT_EQ(marked.at("Message").text(), message.payload);
        EXPECT_FALSE(item(state_table(), dynamodb::detail::message_state_key(message.message_id)));
    }
}

TEST_P(DynamoDbFeedOf, a_row_that_no_message_can_be_made_of_becomes_a_dead_letter_and_others_flow) {
    dynamodb::Item damaged{{"PK", "MESSAGE#nonsense"}, {"NotDispatched", "x"}, {"CreatedAt", "yesterday"}};
    put(damaged);
    dynamodb::FeedOptions small = options();
    small.max_payload = 10;
    const StoredMessage large = publish("large", "more than ten bytes");
    dynamodb::OutboxFeed feed{*db_, small};
    FeedReader relay{feed};
    relay.acquire();
    std::vector<StoredMessage> dead;
    while (dead.size() < 2) {
        for (StoredMessage& message : relay.read()) {
            EXPECT_EQ(message.state, MessageState::dead);
            EXPECT_THAT(message.payload, HasSubstr("it cannot be sent: "));
            dead.push_back(std::move(message));
        }
    }
    relay.settle(dead, Settlement::dead, "it cannot be sent");
    EXPECT_EQ(message(large.message_id)->state, MessageState::dead);
    EXPECT_TRUE(relay.is_drained());
    publish("a", "fine");
    EXPECT_THAT(take(relay, 1), ElementsAre("fine"));
}

TEST_P(DynamoDbFeedOf, a_shared_table_keeps_the_mark_that_others_know) {
    dynamodb::FeedOptions compat = options();
    compat.compat = true;
    dynamodb::OutboxFeed feed{*db_, compat};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage one = publish(new_uuid().to_string(), "1");
    EXPECT_THAT(take(relay, 1, false), ElementsAre("1"));
    relay.park(one, 1, now() + 24h);
    EXPECT_EQ(row(one)->at("NotDispatched").text(), "x");
    EXPECT_EQ(message(one.message_id)->state, MessageState::parked);
    publish(new_uuid().to_string(), "2");
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
    sync_wait(feed.unpark(one.aggregate_id));
    EXPECT_THAT(take(relay, 1), ElementsAre("1"));
    EXPECT_FALSE(row(one)->contains("NotDispatched"));
    EXPECT_TRUE(relay.is_drained());
}

TEST_P(DynamoDbFeedOf, rows_expire_when_they_are_dispatched_and_never_before) {
    dynamodb::OutboxFeed feed{*db_, options()};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage sent = publish("a", "1"), waiting = publish("b", "2"), dead = publish("c", "3");
    for (std::size_t count = 0; count < 3;)
        count += relay.read().size();
    EXPECT_FALSE(row(sent)->contains("ExpiresAt"));
    relay.settle({sent});
    relay.park(waiting, 1, now() + 24h);
    relay.settle({dead}, Settlement::dead, "refused");
    const auto expected = std::chrono::floor<std::chrono::seconds>(now() + std::chrono::days{7}).time_since_epoch();
    EXPECT_NEAR(static_cast<double>(row(sent)->at("ExpiresAt").integer()), static_cast<double>(expected.count()), 60);
    EXPECT_FALSE(row(waiting)->contains("ExpiresAt"));
    EXPECT_FALSE(row(dead)->contains("ExpiresAt"));
}

TEST_P(DynamoDbFeedOf, without_retention_a_dispatched_row_is_deleted_or_kept_for_ever) {
    dynamodb::FeedOptions deleting = options(), keeping = options();
    deleting.retention = 0s;
    keeping.retention.reset();
    const StoredMessage first = publish("a", "1");
    {
        dynamodb::OutboxFeed feed{*db_, deleting};
        FeedReader relay{feed};
        relay.acquire();
        take(relay, 1);
        relay.release();
    }
    EXPECT_FALSE(row(first));
    const StoredMessage second = publish("a", "2");
    dynamodb::OutboxFeed feed{*db_, keeping};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
    EXPECT_FALSE(row(second)->contains("ExpiresAt"));
}

TEST_P(DynamoDbFeedOf, a_row_that_somebody_deleted_does_not_keep_others_from_being_marked) {
    dynamodb::OutboxFeed feed{*db_, options()};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage gone = publish("a", "1"), there = publish("b", "2");
    for (std::size_t count = 0; count < 2;)
        count += relay.read().size();
    std::string body = R"({"TableName":")" + outbox_ + R"(","Key":)";
    dynamodb::detail::append_json(body, dynamodb::detail::outbox_key(gone.message_id));
    call("DeleteItem", body + "}");
    relay.settle({gone, there});
    EXPECT_TRUE(message(there.message_id)->is_dispatched());
    EXPECT_FALSE(row(gone));
    EXPECT_TRUE(relay.is_drained());
}

TEST_P(DynamoDbFeedOf, many_messages_are_marked_in_as_many_transactions_as_it_takes) {
    dynamodb::OutboxFeed feed{*db_, options()};
    FeedReader relay{feed};
    relay.acquire();
    constexpr std::size_t count = 230;
    for (std::size_t i = 0; i < count; ++i)
        publish("a" + std::to_string(i % 7), std::to_string(i));
    std::vector<StoredMessage> read;
    while (read.size() < count) {
        for (StoredMessage& message : relay.read())
            read.push_back(std::move(message));
    }
    relay.settle(read);
    EXPECT_TRUE(relay.is_drained());
    for (const StoredMessage& m : read)
        EXPECT_TRUE(message(m.message_id)->is_dispatched());
}

TEST_P(DynamoDbFeedOf, a_long_lane_is_parked_and_comes_back_whole) {
    dynamodb::OutboxFeed feed{*db_, options()};
    FeedReader relay{feed};
    relay.acquire();
    constexpr std::size_t count = 100;
    std::vector<std::string> published;
    for (std::size_t i = 0; i < count; ++i)
        published.push_back(publish("a", std::to_string(i)).payload);
    std::vector<StoredMessage> read;
    while (read.size() < count) {
        for (StoredMessage& message : relay.read())
            read.push_back(std::move(message));
    }
    relay.park(read.front(), 1, now());
    EXPECT_EQ(message(read.back().message_id)->state, MessageState::parked);
    EXPECT_EQ(take(relay, count), published);
    EXPECT_TRUE(relay.is_drained());
}

TEST_F(DynamoDbFeed, an_owner_that_does_not_know_yet_that_it_is_none_any_more_writes_nothing) {
    dynamodb::OutboxFeed feed{*db_, feed_options()};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage one = publish("a", "1");
    EXPECT_THAT(take(relay, 1, false), ElementsAre("1"));
    // What the next owner writes when it takes the lease; ours is not due to be renewed for seconds.
    dynamodb::Item lease = item(state_table(), dynamodb::detail::lease_key()).value();
    lease.insert_or_assign("Fence", lease.at("Fence").integer() + 1);
    std::string body = R"({"TableName":")" + state_table() + R"(","Item":)";
    dynamodb::detail::append_json(body, lease);
    call("PutItem", body + "}");
    EXPECT_THROW(relay.settle({one}), FenceLostError);
    EXPECT_THROW(relay.read(), FenceLostError);
    EXPECT_EQ(message(one.message_id), one);
    EXPECT_FALSE(item(state_table(), dynamodb::detail::message_state_key(one.message_id)));
}

TEST_F(DynamoDbFeed, a_lease_that_was_taken_by_an_attempt_without_an_answer_is_known_as_ones_own) {
    std::mutex mutex;
    std::string member;
    int updates = 0;
    const FakeHttp server{[&](const HttpRequest& request) -> HttpAnswer {
        const std::lock_guard lock{mutex};
        const std::string action = request.header("x-amz-target");
        if (action.ends_with("GetItem") && !member.empty())
            return HttpAnswer{200,
                              R"({"Item":{"PK":{"S":"LEASE"},"SK":{"S":"relay"},"Fence":{"N":"1"},"Version":{"N":"1"},)"
                              R"("Released":{"BOOL":false},"Term":{"N":"3000"},"Member":{"S":")" +
                                  member + R"("}}})"};
        if (!action.ends_with("UpdateItem") || ++updates > 2)
            return HttpAnswer{};
        if (updates == 2)  // the same request again, after what its first attempt did
            return HttpAnswer{
                400, R"({"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"no"})"};
        const auto begin = request.body.find(R"(":member":{"S":")") + 16;
        member = request.body.substr(begin, request.body.find('"', begin) - begin);
        return HttpAnswer::cut();
    }};
    dynamodb::Database db{database_options(server.endpoint())};
    dynamodb::FeedOptions options = feed_options();
    options.kind = dynamodb::FeedKind::poll;
    dynamodb::OutboxFeed feed{db, options};
    EXPECT_TRUE(sync_wait(feed.acquire()).clean_start) << "it was waited for until it was over";
}

TEST_F(DynamoDbFeed, a_table_with_replicas_is_refused_however_it_is_read) {
    const FakeHttp server{[](const HttpRequest& request) {
        const bool is_describe = request.header("x-amz-target").ends_with("DescribeTable");
        return HttpAnswer{200, is_describe ? R"({"Table":{"Replicas":[{"RegionName":"us-east-1"}]}})" : "{}"};
    }};
    dynamodb::Database db{database_options(server.endpoint())};
    for (const auto kind : {dynamodb::FeedKind::poll, dynamodb::FeedKind::tail}) {
        dynamodb::FeedOptions options = feed_options();
        options.kind = kind;
        dynamodb::OutboxFeed feed{db, options};
        try {
            sync_wait(feed.acquire());
            ADD_FAILURE() << "it was not refused";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Errc::invalid_configuration);
        }
    }
}

TEST_F(DynamoDbFeed, kill_9_frees_the_lease_at_once) {
    const std::string endpoint = Server::shared("dynamodb").endpoint();
    db_.reset();  // its thread does not come along into the other process
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    const pid_t killed = ::fork();
    if (killed == 0) {
        dynamodb::Database db{database_options(endpoint)};
        dynamodb::FeedOptions options = feed_options();
        options.lease_term = 10min;
        dynamodb::OutboxFeed feed{db, options};
        sync_wait(feed.acquire());
        const bool told = ::write(ready[1], "x", 1) == 1;
        while (told)
            ::pause();
        ::_exit(1);
    }
    char c = 0;
    ASSERT_EQ(::read(ready[0], &c, 1), 1);
    ::kill(killed, SIGKILL);
    ::waitpid(killed, nullptr, 0);
    dynamodb::Database db{database_options(endpoint)};
    dynamodb::FeedOptions options = feed_options();
    options.lease_term = 10min;
    // With a term of ten minutes this ends only because the process is known to be gone.
    dynamodb::OutboxFeed feed{db, options};
    const Fence fence = sync_wait(feed.acquire());
    EXPECT_FALSE(fence.clean_start);
    EXPECT_EQ(fence.value, 2);
    for (const int fd : ready)
        ::close(fd);
}

TEST_F(DynamoDbFeed, a_table_that_is_missing_is_named) {
    dynamodb::FeedOptions options = feed_options();
    options.table = "not-there";
    dynamodb::OutboxFeed feed{*db_, options};
    try {
        sync_wait(feed.acquire());
        FAIL() << "it took the lease of nothing";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::schema_missing);
        EXPECT_THAT(e.what(), HasSubstr("not-there-txm"));
    }
}

TEST_F(DynamoDbFeed, a_table_with_replicas_is_refused) {
    const FakeHttp server{[](const HttpRequest& request) {
        const bool is_describe = request.header("x-amz-target").find("DescribeTable") != std::string::npos;
        return HttpAnswer{200, is_describe ? R"({"Table":{"Replicas":[{"RegionName":"us-east-1"}]}})" : "{}"};
    }};
    dynamodb::Database db{database_options(server.endpoint())};
    dynamodb::OutboxFeed feed{db, feed_options()};
    const auto use = [&] {
        sync_wait(feed.acquire());
        sync_wait(feed.read(1, 1000));
    };
    try {
        use();
        FAIL() << "every region would publish its messages";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::invalid_configuration);
        EXPECT_THAT(e.what(), AllOf(HasSubstr(outbox_), HasSubstr("home_region")));
    }
}

}  // namespace
}  // namespace txm::test
