#include "integration/dynamodb_beside_fixture.hpp"

#include <atomic>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

/// An index that is behind its table, as those of DynamoDB are. A relay that polls sees nothing else, one that reads the
/// stream sweeps it.
class DynamoDbLateIndex : public DynamoDbBeside, public testing::WithParamInterface<dynamodb::FeedKind> {
protected:
    DynamoDbLateIndex() { streams_.add_shard("shard-1"); }

    dynamodb::FeedOptions options() const {
        dynamodb::FeedOptions options = stream_options(streams_);
        options.kind = GetParam();
        options.sweep_age = 0ms;
        options.sweep_interval = 20ms;
        return options;
    }

    static bool is_of_index(const std::string& action, const std::string& body) {
        return action == "Query" && body.find("NotDispatchedMessagesIndex") != std::string::npos;
    }

    /// What the index says now: what it will go on to say.
    std::string look() {
        const std::string body = R"({"TableName":")" + outbox_ +
                                 R"(","IndexName":"NotDispatchedMessagesIndex",)"
                                 R"("KeyConditionExpression":"NotDispatched = :x",)"
                                 R"("ExpressionAttributeValues":{":x":{"S":"x"}}})";
        return sync_wait(db_->impl().call("Query", body)).body;
    }

    /// From now on the index says that, for some looks; then the truth.
    void answer_late(std::string answer) {
        late_answers_ = 0;
        before([this, answer = std::move(answer)](const std::string& action, const std::string& body) {
            return is_of_index(action, body) && ++late_answers_ <= looks ? std::optional(HttpAnswer(200, answer))
                                                                         : std::nullopt;
        });
    }

    static constexpr int looks = 4;
    std::atomic<int> late_answers_{0};
    FakeStreams streams_;
};

TEST_P(DynamoDbLateIndex, what_it_still_shows_and_was_sent_is_not_sent_again) {
    dynamodb::OutboxFeed feed{between_, options()};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage one = publish("a", "1");
    const std::string then = look();
    EXPECT_THAT(take(relay, 1), ElementsAre("1"));
    publish("b", "2");
    answer_late(then);
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
    EXPECT_GT(late_answers_, looks);
    EXPECT_EQ(message(one.message_id)->approximate_dispatch_count, 1);
    EXPECT_TRUE(relay.is_drained());
}

TEST_P(DynamoDbLateIndex, what_another_relay_sent_is_not_sent_again_by_one_that_never_saw_it) {
    const StoredMessage one = publish("a", "1");
    const std::string then = look();
    mark_elsewhere(one);
    publish("b", "2");
    answer_late(then);
    dynamodb::OutboxFeed feed{between_, options()};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
    EXPECT_GT(late_answers_, looks);
    EXPECT_EQ(message(one.message_id)->approximate_dispatch_count, 1);
}

TEST_P(DynamoDbLateIndex, what_was_parked_does_not_come_beside_its_lane) {
    dynamodb::OutboxFeed feed{between_, options()};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage one = publish("a", "1");
    const std::string then = look();
    EXPECT_THAT(take(relay, 1, false), ElementsAre("1"));
    relay.park(one, 1, now() + 1h);
    publish("b", "2");
    answer_late(then);
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
    EXPECT_GT(late_answers_, looks);
    sync_wait(feed.unpark("a"));
    EXPECT_THAT(take(relay, 1), ElementsAre("1"));
    EXPECT_TRUE(relay.is_drained());
}

TEST_P(DynamoDbLateIndex, what_it_does_not_show_yet_comes_when_it_does) {
    dynamodb::OutboxFeed feed{between_, options()};
    FeedReader relay{feed};
    relay.acquire();
    const std::string then = look();
    publish("a", "1");
    publish("a", "2");
    answer_late(then);
    EXPECT_THAT(take(relay, 2), ElementsAre("1", "2"));
    EXPECT_GT(late_answers_, looks);
    EXPECT_TRUE(relay.is_drained());
}

INSTANTIATE_TEST_SUITE_P(Feeds, DynamoDbLateIndex, testing::Values(dynamodb::FeedKind::poll, dynamodb::FeedKind::tail),
                         [](const auto& kind) { return kind.param == dynamodb::FeedKind::poll ? "poll" : "tail"; });

}  // namespace
}  // namespace txm::test
