#include "integration/dynamodb_step_fixture.hpp"
#include "support/sanitizer.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <numeric>

#include <malloc.h>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Verdict = txm::testing::FakePublisher::Verdict;

TEST_F(DynamoDbStep, publishes_in_order_one_of_an_aggregate_at_a_time_and_marks) {
    const StoredMessage a1 = publish("a", "a1"), a2 = publish("a", "a2"), b1 = publish("b", "b1");
    EXPECT_EQ(run(event_of({a2, b1, a1})), all_done);
    EXPECT_THAT(payloads_of(broker_.accepted, "a"), ElementsAre("a1", "a2"));
    EXPECT_THAT(payloads_of(broker_.accepted, "b"), ElementsAre("b1"));
    EXPECT_FALSE(broker_.saw_two_of_a_lane);
    for (const StoredMessage& m : {a1, a2, b1}) {
        EXPECT_TRUE(message(m.message_id)->is_dispatched());
        EXPECT_TRUE(row(m)->contains("ExpiresAt"));
    }
}

TEST_F(DynamoDbStep, what_was_sent_before_is_not_sent_again) {
    const StoredMessage one = publish("a", "1");
    const std::string event = event_of({one});
    EXPECT_EQ(run(event), all_done);
    EXPECT_EQ(run(event), all_done);
    EXPECT_THAT(payloads(broker_.accepted), ElementsAre("1"));
    EXPECT_EQ(message(one.message_id)->approximate_dispatch_count, 1);
}

TEST_F(DynamoDbStep, predecessors_that_wait_go_first) {
    publish("a", "1");
    publish("a", "2");
    const StoredMessage three = publish("a", "3");
    EXPECT_EQ(run(event_of({three})), all_done);
    EXPECT_THAT(payloads(broker_.accepted), ElementsAre("1", "2", "3"));
}

TEST_F(DynamoDbStep, thousands_of_predecessors_are_sent_in_order_and_never_in_memory_at_once) {
    constexpr int length = is_sanitized ? 700 : 2600;  // all that takes long there
    constexpr std::size_t bytes = 10'000;
    const std::string event = event_of({publish_chain(length, bytes)});
    std::vector<int> sent;
    int most = 300;  // then the time is over
    broker_.verdict = [&](const StoredMessage& message) {
        if (static_cast<int>(sent.size()) == most)
            return Verdict::disconnect;
        sent.push_back(std::stoi(message.payload.substr(bytes)));
        return Verdict::acknowledge;
    };
    const std::size_t before = mallinfo2().uordblks;
    std::size_t memory = 0;
    broker_.on_batch = [&](const PublishBatch&) {
        broker_.accepted.clear();
        memory = std::max(memory, mallinfo2().uordblks);
    };
    EXPECT_THROW(run(event), Error);
    // What was sent is not sent again.
    most = length;
    EXPECT_EQ(run(event), all_done);
    std::vector<int> all(length);
    std::iota(all.begin(), all.end(), 1);
    EXPECT_EQ(sent, all);
    EXPECT_LT(memory, before + length * bytes / 2);
    EXPECT_EQ(run(event), all_done);
    EXPECT_EQ(sent.size(), all.size());
}

TEST_F(DynamoDbStep, long_chains_beside_each_other_and_one_that_is_refused_do_not_keep_each_other) {
    const StoredMessage last = publish_chain(150, 10);
    std::vector<std::string> of_b;
    StoredMessage last_b;
    for (int i = 0; i < 70; ++i) {
        last_b = publish("b", "b" + std::to_string(i));
        of_b.push_back(last_b.payload);
    }
    broker_.verdict = [](const StoredMessage& m) { return m.sequence == 80 ? Verdict::refuse : Verdict::acknowledge; };
    EXPECT_EQ(run(event_of({last_b, last})), R"({"batchItemFailures":[{"itemIdentifier":"2"}]})");
    EXPECT_EQ(payloads_of(broker_.accepted, "b"), of_b);
    EXPECT_EQ(payloads_of(broker_.accepted, "a").size(), 79U);
    EXPECT_TRUE(std::ranges::is_sorted(broker_.first_acknowledgements("a")));
    EXPECT_FALSE(broker_.saw_two_of_a_lane);
}

TEST_F(DynamoDbStep, names_the_first_record_that_the_broker_did_not_take_and_keeps_what_follows_it) {
    const StoredMessage b1 = publish("b", "b1"), a1 = publish("a", "a1"), a2 = publish("a", "a2"),
                        b2 = publish("b", "b2");
    broker_.verdict = [](const StoredMessage& m) { return m.payload == "a1" ? Verdict::refuse : Verdict::acknowledge; };
    EXPECT_EQ(run(event_of({b1, a1, a2, b2})), R"({"batchItemFailures":[{"itemIdentifier":"2"}]})");
    EXPECT_THAT(payloads(broker_.accepted), ElementsAre("b1", "b2"));
    EXPECT_FALSE(message(a1.message_id)->is_dispatched());
    EXPECT_FALSE(message(a2.message_id)->is_dispatched());

    broker_.verdict = [](const StoredMessage&) { return Verdict::acknowledge; };
    EXPECT_EQ(run(event_of({a1, a2, b2})), all_done);
    EXPECT_THAT(payloads(broker_.accepted), ElementsAre("b1", "b2", "a1", "a2"));
}

TEST_F(DynamoDbStep, what_is_not_answered_is_not_marked) {
    const StoredMessage one = publish("a", "1");
    broker_.verdict = [](const StoredMessage&) { return Verdict::ignore; };
    EXPECT_EQ(run(event_of({one})), R"({"batchItemFailures":[{"itemIdentifier":"1"}]})");
    EXPECT_FALSE(message(one.message_id)->is_dispatched());
}

TEST_F(DynamoDbStep, a_broker_out_of_reach_is_an_error_and_what_it_took_before_is_marked) {
    const StoredMessage one = publish("a", "1"), two = publish("b", "2");
    broker_.verdict = [](const StoredMessage& m) {
        return m.payload == "2" ? Verdict::disconnect : Verdict::acknowledge;
    };
    EXPECT_THROW(run(event_of({one, two})), Error);
    EXPECT_TRUE(message(one.message_id)->is_dispatched());
    EXPECT_FALSE(message(two.message_id)->is_dispatched());
}

TEST_F(DynamoDbStep, a_lane_that_a_relay_has_blocked_is_not_overtaken) {
    dynamodb::OutboxFeed feed{*db_, feed_options()};
    FeedReader relay{feed};
    relay.acquire();
    const StoredMessage one = publish("a", "1");
    take(relay, 1, false);
    relay.park(one, 1, now() + 24h);
    const StoredMessage two = publish("a", "2"), other = publish("b", "3");
    EXPECT_EQ(run(event_of({two, other})), all_done);
    EXPECT_THAT(payloads(broker_.accepted), ElementsAre("3"));
    sync_wait(feed.unpark("a"));
    EXPECT_THAT(take(relay, 1), ElementsAre("1"));
    EXPECT_THAT(take(relay, 1), ElementsAre("2"));
}

TEST_F(DynamoDbStep, marks_of_others_are_passed_over) {
    const StoredMessage one = publish("a", "1");
    dynamodb::Item sent = row(one).value();
    sent.erase("NotDispatched");
    std::string image;
    dynamodb::detail::append_json(image, sent);
    EXPECT_EQ(run(R"({"Records":[{"eventName":"MODIFY","dynamodb":{"SequenceNumber":"1","NewImage":)" + image + "}}]}"),
              all_done);
    EXPECT_TRUE(broker_.accepted.empty());
}

TEST_F(DynamoDbStep, refuses_what_is_no_event_of_a_stream) {
    for (const char* event : {"", "{}", "[1]", R"({"Records":5})", R"({"Records":["x"]})"}) {
        try {
            run(event);
            FAIL() << event;
        } catch (const Error& e) {
            EXPECT_EQ(e.code(), Errc::invalid_message) << event;
            EXPECT_THAT(e.what(), HasSubstr("Records"));
        }
    }
}

}  // namespace
}  // namespace txm::test
