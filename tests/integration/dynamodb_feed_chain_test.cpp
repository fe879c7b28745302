#include "integration/dynamodb_beside_fixture.hpp"
#include "support/sanitizer.hpp"

#include <algorithm>
#include <map>

#include <malloc.h>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::Contains;

/// Long chains of which a feed meets the end first.
class DynamoDbChain : public DynamoDbBeside {
protected:
    DynamoDbChain() { streams_.add_shard("shard-1"); }

    /// Payloads are `1`, `2` and so on behind spaces. @return the last
    StoredMessage publish_chain(const std::string& aggregate_id, int length, std::size_t bytes,
                                bool is_dated_backwards = false) {
        StoredMessage message;
        message.aggregate_id = aggregate_id;
        message.topic = "orders";
        const Timestamp begin = now();
        const int at_once = std::min<int>(40, static_cast<int>(2'000'000 / (bytes + 1)));
        for (int number = 1; number <= length;) {
            dynamodb::Session session{*db_};
            dynamodb::OutboxRepository outbox{outbox_, session, TopicMap{}};
            for (int i = 0; i < at_once && number <= length; ++i, ++number) {
                message.message_id = new_uuid();
                message.payload = std::string(bytes, ' ') + std::to_string(number);
                message.created_at = is_dated_backwards ? begin - std::chrono::seconds{number} : now();
                outbox.publish(message);
            }
            sync_wait(session.commit());
        }
        return this->message(message.message_id).value();
    }

    std::string show(const StoredMessage& message) { return streams_.insert("shard-1", row(message).value()); }

    /// Notes before each request of the feed how much memory is in use.
    void watch_memory() {
        malloc_trim(0);
        begin_ = most_ = mallinfo2().uordblks;
        before([this](const std::string&, const std::string&) {
            const std::lock_guard lock{mutex_};
            most_ = std::max(most_, mallinfo2().uordblks);
            return std::optional<HttpAnswer>();
        });
    }
    /// A fixed amount that is ready, as much that waits, and the rows of one reading.
    void expect_little_memory() {
        const std::lock_guard lock{mutex_};
        if (!is_sanitized) {
            EXPECT_LT(most_ - begin_, std::size_t{14} << 20);
        }
    }

    /// Reads and settles until that many have come. @return the numbers in the payloads of each aggregate, as they came
    static std::map<std::string, std::vector<int>> numbers(FeedReader& relay, std::size_t count) {
        std::map<std::string, std::vector<int>> all;
        for (std::size_t read = 0; read < count;) {
            const std::vector<StoredMessage> some = relay.read();
            for (const StoredMessage& message : some)
                all[message.aggregate_id.str()].push_back(std::stoi(message.payload));
            read += some.size();
            relay.settle(some);
        }
        return all;
    }

    static std::vector<int> up_to(int last) {
        std::vector<int> all(static_cast<std::size_t>(last));
        for (int i = 0; i < last; ++i)
            all[static_cast<std::size_t>(i)] = i + 1;
        return all;
    }

    FakeStreams streams_;

private:
    std::size_t begin_ = 0, most_ = 0;
};

TEST_F(DynamoDbChain, of_which_the_stream_shows_the_end_only_takes_little_memory) {
    const StoredMessage last = publish_chain("a", 250, 80'000);
    dynamodb::OutboxFeed feed{between_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    show(last);
    watch_memory();
    EXPECT_EQ(numbers(relay, 250)["a"], up_to(250));
    expect_little_memory();
    EXPECT_TRUE(relay.is_drained());
}

TEST_F(DynamoDbChain, of_which_the_stream_shows_the_end_only_does_not_keep_others_waiting) {
    const StoredMessage last = publish_chain("a", 300, 10), other = publish("b", "1");
    dynamodb::OutboxFeed feed{between_, stream_options(streams_)};
    FeedReader relay{feed};
    relay.acquire();
    show(last);
    show(other);
    int asked = 0;
    before([&](const std::string& action, const std::string&) {
        asked += action == "BatchGetItem" ? 1 : 0;
        return std::optional<HttpAnswer>();
    });
    const std::vector<StoredMessage> first = relay.read();
    EXPECT_THAT(payloads(first), Contains("1"));
    EXPECT_LT(asked, 100);
    relay.settle(first);
    numbers(relay, 301 - first.size());
    EXPECT_TRUE(relay.is_drained());
}

TEST_F(DynamoDbChain, that_is_dated_backwards_takes_little_memory) {
    publish_chain("a", 250, 80'000, true);
    dynamodb::OutboxFeed feed{between_, poll_options()};
    FeedReader relay{feed};
    relay.acquire();
    watch_memory();
    EXPECT_EQ(numbers(relay, 250)["a"], up_to(250));
    expect_little_memory();
    EXPECT_TRUE(relay.is_drained());
}

TEST_F(DynamoDbChain, of_more_than_a_feed_remembers_comes_in_order_whatever_its_dates_say) {
    constexpr int length = is_sanitized ? 400 : 2'300;  // what is more than a feed keeps takes long there
    const StoredMessage last = publish_chain("a", length, 10, true);
    for (const auto kind : {dynamodb::FeedKind::poll, dynamodb::FeedKind::tail}) {
        dynamodb::FeedOptions options = stream_options(streams_);
        options.kind = kind;
        dynamodb::OutboxFeed feed{between_, options};
        FeedReader relay{feed};
        relay.acquire();
        const StoredMessage shown = kind == dynamodb::FeedKind::poll ? last : publish_chain("b", length, 10, true);
        show(shown);
        EXPECT_EQ(numbers(relay, length)[shown.aggregate_id.str()], up_to(length));
        EXPECT_TRUE(relay.is_drained());
        relay.release();
    }
}

}  // namespace
}  // namespace txm::test
