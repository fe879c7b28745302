#include "integration/dynamodb_step_fixture.hpp"
#include "support/fake_http.hpp"
#include "support/pass_on.hpp"
#include "support/sanitizer.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

class DynamoDbStepChain : public DynamoDbStep {
protected:
    /// Passes on to the server what it is asked, counts the pages of the index, and gives as many of them as it may.
    DynamoDbStepChain()
        : passer_([this](const HttpRequest& request) {
              const bool is_page = request.body.find("NotDispatchedMessagesIndex") != std::string::npos;
              if (is_page && ++pages_ > most_pages_)
                  return HttpAnswer{400, R"({"__type":"ValidationException","message":"the test gives no more"})"};
              return pass_on(*db_, request);
          }) {}

    std::string run_counted(const std::string& event) {
        dynamodb::Database db{database_options(passer_.endpoint())};
        dynamodb::StreamStep step{db, broker_, feed_options()};
        return sync_wait(step.run(event));
    }

    /// Messages of one aggregate, `1`, `2`, …, which were made at these times. @return the last
    StoredMessage publish_at(const std::string& aggregate_id, const std::vector<Timestamp>& times) {
        StoredMessage message;
        message.aggregate_id = aggregate_id;
        message.topic = "orders";
        for (std::size_t number = 0; number < times.size();) {
            dynamodb::Session session{*db_};
            dynamodb::OutboxRepository outbox{outbox_, session, TopicMap{}};
            for (int i = 0; i < 40 && number < times.size(); ++i) {
                message.message_id = new_uuid();
                message.created_at = times[number++];
                message.payload = std::to_string(number);
                outbox.publish(message);
            }
            sync_wait(session.commit());
        }
        return this->message(message.message_id).value();
    }

    static std::vector<Timestamp> forwards(int count, Timestamp begin) {
        std::vector<Timestamp> times;
        for (int i = 0; i < count; ++i)
            times.push_back(begin + i * 1s);
        return times;
    }

    void expect_sent_in_order(const std::string& aggregate_id, Sequence length) {
        std::vector<Sequence> all(static_cast<std::size_t>(length));
        std::iota(all.begin(), all.end(), 1);
        EXPECT_EQ(broker_.first_acknowledgements(aggregate_id), all);
        EXPECT_EQ(payloads_of(broker_.accepted, aggregate_id).size(), all.size());
    }

    const Timestamp day_ago_ = now() - 24h;
    std::atomic<int> pages_ = 0, most_pages_ = 1'000'000;
    FakeHttp passer_;
};

TEST_F(DynamoDbStepChain, a_long_chain_that_its_sender_dates_backwards_is_sent_in_order) {
    constexpr int length = is_sanitized ? 400 : 2200;  // what is more than a step keeps takes long there
    std::vector<Timestamp> times = forwards(length, day_ago_);
    std::ranges::reverse(times);
    const StoredMessage last = publish_at("a", times);
    EXPECT_EQ(run(event_of({last})), all_done);
    expect_sent_in_order("a", length);
}

TEST_F(DynamoDbStepChain, lanes_of_which_all_is_known_do_not_wait_for_the_search_in_the_index) {
    const StoredMessage last = publish_at("a", forwards(120, day_ago_)), other = publish("b", "b1");
    most_pages_ = 0;
    EXPECT_THROW(run_counted(event_of({last, other})), Error);
    EXPECT_THAT(payloads(broker_.accepted), ElementsAre("b1"));
    EXPECT_TRUE(message(other.message_id)->is_dispatched());
    most_pages_ = 1'000'000;
    EXPECT_EQ(run_counted(event_of({last, other})), all_done);
    expect_sent_in_order("a", 120);
}

TEST_F(DynamoDbStepChain, the_messages_of_a_blocked_lane_are_not_looked_for) {
    dynamodb::OutboxFeed feed{*db_, feed_options()};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage first = publish("a", "1");
    take(relay, 1, false);
    relay.park(first, 1, now() + 24h);
    const StoredMessage last = publish_at("a", forwards(120, day_ago_)), other = publish("b", "b1");
    EXPECT_EQ(run_counted(event_of({last, other})), all_done);
    EXPECT_EQ(pages_, 0);
    EXPECT_THAT(payloads(broker_.accepted), ElementsAre("b1"));
}

TEST_F(DynamoDbStepChain, what_is_found_is_sent_before_a_long_index_is_read_to_its_end) {
    const StoredMessage last = publish_at("a", forwards(120, day_ago_));
    for (int i = 0; i < 70; ++i)  // two or three of them make a page
        publish("other" + std::to_string(i), std::string(390'000, 'x'));
    int pages = 0;
    broker_.on_batch = [&](const PublishBatch&) { pages = pages == 0 ? pages_.load() : pages; };
    EXPECT_EQ(run_counted(event_of({last})), all_done);
    EXPECT_LE(pages, 20);
    expect_sent_in_order("a", 120);
}

TEST_F(DynamoDbStepChain, a_lane_that_begins_far_behind_in_the_index_comes_after_one_that_was_found) {
    const StoredMessage last = publish_at("a", forwards(120, day_ago_));
    for (int i = 0; i < 70; ++i)
        publish("other" + std::to_string(i), std::string(390'000, 'x'));
    const StoredMessage far = publish_at("b", forwards(300, now() + 1h));
    broker_.verdict = [](const StoredMessage& message) {
        const bool is_bad = message.aggregate_id.str() == "a" && message.sequence == 80;
        return is_bad ? txm::testing::FakePublisher::Verdict::refuse
                      : txm::testing::FakePublisher::Verdict::acknowledge;
    };
    EXPECT_EQ(run_counted(event_of({far, last})), R"({"batchItemFailures":[{"itemIdentifier":"2"}]})");
    expect_sent_in_order("a", 79);
    expect_sent_in_order("b", 300);
}

}  // namespace
}  // namespace txm::test
