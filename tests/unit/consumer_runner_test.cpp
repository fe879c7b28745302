#include "support/consumer_bench.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace txm::test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;

class ConsumerRunnerTest : public testing::Test, public ConsumerBench {};

TEST_F(ConsumerRunnerTest, applies_every_delivery_once_in_order_and_acknowledges_it) {
    for (Sequence n = 1; n <= 300; ++n)
        push("customer-" + std::to_string(n % 7), n);
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.received, 300u);
    EXPECT_EQ(statistics.processed, 300u);
    EXPECT_EQ(statistics.in_flight, 0u);
    EXPECT_EQ(effects.size(), 300u);
    for (int i = 0; i < 7; ++i) {
        const auto order = effects_of("customer-" + std::to_string(i));
        EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    }
    EXPECT_TRUE(topic.is_empty());
    EXPECT_EQ(store.releases, 1);
}

TEST_F(ConsumerRunnerTest, handles_many_lanes_at_once_but_one_delivery_of_a_lane_and_keeps_memory_bounded) {
    options.max_in_flight = 8;
    for (Sequence n = 1; n <= 500; ++n)
        push("customer-" + std::to_string(n % 50), n);
    run();
    EXPECT_EQ(most_at_once, 8u);
    EXPECT_FALSE(two_of_a_lane_at_once);
    EXPECT_LE(topic.most_in_memory, 16u);
    EXPECT_EQ(effects.size(), 500u);
}

TEST_F(ConsumerRunnerTest, a_duplicate_is_acknowledged_and_counted) {
    push("a", 1);
    push("a", 2);
    topic.push(message("a", 1));
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.processed, 2u);
    EXPECT_EQ(statistics.duplicates, 1u);
    EXPECT_EQ(statistics.content_mismatches, 0u);
    EXPECT_THAT(effects_of("a"), ElementsAre(1, 2));
    EXPECT_TRUE(topic.is_empty());
}

TEST_F(ConsumerRunnerTest, one_id_with_two_payloads_is_told) {
    topic.push(message("a", 1, "one"));
    topic.push(message("a", 1, "another"));
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.content_mismatches, 1u);
    EXPECT_TRUE(has_event("another payload"));
}

TEST_F(ConsumerRunnerTest, handler_sees_consumer_name_stored_at_and_replay) {
    std::vector<Incoming> seen;
    topic.push(message("a", 1, "body"));
    StoredMessage undated = message("a", 2);
    undated.stored_at = Timestamp{};
    topic.push(undated);
    ConsumerRunner direct(store, topic, options, [&](const Incoming& incoming, const Delivery&) -> awaitable<bool> {
        seen.push_back(incoming);
        co_return true;
    });
    boost::asio::co_spawn(io, direct.run(), [](std::exception_ptr) {});
    io.run();
    ASSERT_EQ(seen.size(), 2u);
    EXPECT_EQ(seen[0].consumer, "billing");
    EXPECT_EQ(seen[0].stored_at, message("a", 1).stored_at);
    EXPECT_EQ(seen[0].payload_hash, payload_hash("body"));
    EXPECT_FALSE(seen[0].replay);
    EXPECT_FALSE(seen[1].stored_at.has_value());
}

TEST_F(ConsumerRunnerTest, retry_keeps_order_across_redelivery) {
    for (Sequence n = 1; n <= 5; ++n)
        push("a", n);
    int failures = 0;
    before = [&](const Delivery& delivery) {
        if (number(delivery) != 2 || failures == 4)
            return;
        if (++failures == 2)
            topic.redeliver();
        throw std::runtime_error("not yet");
    };
    const ConsumerStatistics statistics = run();
    EXPECT_THAT(effects_of("a"), ElementsAre(1, 2, 3, 4, 5));
    EXPECT_EQ(statistics.failed, 4u);
    EXPECT_TRUE(topic.is_empty());
}

TEST_F(ConsumerRunnerTest, poison_delivery_does_not_touch_its_neighbours) {
    options.max_attempts = 3;
    for (Sequence n = 1; n <= 40; ++n)
        push("customer-" + std::to_string(n % 4), n);
    before = [](const Delivery& delivery) {
        if (number(delivery) == 9)
            throw std::runtime_error("cannot be applied");
    };
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(tries[9], 3);
    EXPECT_EQ(statistics.dead, 1u);
    EXPECT_EQ(store.dead.at(message("", 9).message_id), "cannot be applied");
    EXPECT_EQ(store.dead_attempts.at(message("", 9).message_id), 3);
    EXPECT_THAT(effects_of("customer-1"), ElementsAre(1, 5));
    for (const auto* other : {"customer-0", "customer-2", "customer-3"})
        EXPECT_EQ(effects_of(other).size(), 10u) << other;
    EXPECT_TRUE(has_event("dead letter: cannot be applied"));
}

TEST_F(ConsumerRunnerTest, poison_does_not_pin_offset) {
    options.max_attempts = 1;
    before = [](const Delivery& delivery) {
        if (number(delivery) == 1)
            throw std::runtime_error("poison");
    };
    for (Sequence n = 1; n <= 400; ++n)
        push("a", n);
    const ConsumerStatistics statistics = run();
    EXPECT_TRUE(topic.is_empty()) << "what waits behind a dead letter is kept in the store";
    EXPECT_EQ(store.parked_count(), 399u);
    EXPECT_EQ(statistics.parked, 399u);
    EXPECT_THAT(effects, IsEmpty());

    // An operator skips it: the rest follows in order.
    before = {};
    store.held.clear();
    topic.reopen();
    const ConsumerStatistics then = run();
    EXPECT_EQ(then.processed, 399u);
    EXPECT_EQ(store.parked_count(), 0u);
    const auto order = effects_of("a");
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(ConsumerRunnerTest, with_policy_skip_the_lane_goes_on) {
    options.policy = DeadLetterPolicy::skip;
    before = [](const Delivery& delivery) {
        if (number(delivery) == 2)
            throw Rejected("no such customer");
    };
    for (Sequence n = 1; n <= 4; ++n)
        push("a", n);
    const ConsumerStatistics statistics = run();
    EXPECT_THAT(effects_of("a"), ElementsAre(1, 3, 4));
    EXPECT_EQ(tries[2], 1) << "what is rejected is not tried again";
    EXPECT_EQ(statistics.dead, 1u);
    EXPECT_TRUE(topic.is_empty());
}

TEST_F(ConsumerRunnerTest, dead_letter_races_success) {
    before = [&](const Delivery& delivery) {
        if (number(delivery) != 1 || tries[1] > 1)
            return;
        // Another process of the consumer applied it meanwhile.
        store.inbox[delivery.message.message_id] = {};
        throw Rejected("too late");
    };
    push("a", 1);
    push("a", 2);
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.dead, 0u);
    EXPECT_EQ(statistics.duplicates, 1u);
    EXPECT_THAT(store.dead, IsEmpty());
    EXPECT_THAT(effects_of("a"), ElementsAre(2));
    EXPECT_TRUE(topic.is_empty());
}

TEST_F(ConsumerRunnerTest, outside_inbox_window_is_a_dead_letter) {
    before = [](const Delivery& delivery) { throw OutsideInboxWindowError(delivery.message.message_id); };
    push("a", 1);
    EXPECT_EQ(run().dead, 1u);
    EXPECT_TRUE(topic.is_empty());
}

TEST_F(ConsumerRunnerTest, an_error_about_another_message_is_not_taken_for_a_duplicate) {
    options.max_attempts = 2;
    before = [](const Delivery&) { throw MessageAlreadyProcessedError(message("", 77).message_id); };
    push("a", 1);
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.duplicates, 0u);
    EXPECT_EQ(statistics.failed, 2u);
    EXPECT_EQ(statistics.dead, 1u);
}

TEST_F(ConsumerRunnerTest, store_outage_spends_no_attempt) {
    options.max_attempts = 2;
    int outage = 40;
    before = [&](const Delivery&) {
        if (outage > 0) {
            --outage;
            throw Error(Errc::store_unavailable, "database is locked");
        }
    };
    for (Sequence n = 1; n <= 20; ++n)
        push("customer-" + std::to_string(n % 5), n);
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.failed, 0u);
    EXPECT_EQ(statistics.dead, 0u);
    EXPECT_EQ(statistics.processed, 20u);
    EXPECT_TRUE(has_event("the store is not available"));
    EXPECT_TRUE(has_event("the store is available again"));
}

TEST_F(ConsumerRunnerTest, one_message_that_the_store_cannot_take_holds_back_only_its_lane) {
    options.max_attempts = 3;
    before = [](const Delivery& delivery) {
        if (number(delivery) == 1)
            throw Error(Errc::store_unavailable, "the payload does not fit");
    };
    push("a", 1);
    for (Sequence n = 2; n <= 60; ++n)
        push(n % 2 ? "b" : "c", n);
    run();
    EXPECT_EQ(effects.size(), 59u);
    // Alone it is found out too, but no longer by the success of others.
    for (int i = 0; i < 10 && store.dead.empty(); ++i) {
        store.make_all_due();
        topic.reopen();
        run();
    }
    EXPECT_EQ(store.dead.size(), 1u);
}

TEST_F(ConsumerRunnerTest, unknown_outcome_of_a_commit_is_decided_by_the_inbox) {
    options.max_attempts = 1;
    bool was_committed_once = false, was_lost_once = false;
    after = [&](const Delivery& delivery) {
        if (number(delivery) == 1 && !std::exchange(was_committed_once, true))
            throw CommitOutcomeUnknown("the answer was lost");
    };
    before = [&](const Delivery& delivery) {
        if (number(delivery) == 2 && !std::exchange(was_lost_once, true))
            throw CommitOutcomeUnknown("the question was lost");
    };
    push("a", 1);
    push("a", 2);
    push("a", 3);
    const ConsumerStatistics statistics = run();
    EXPECT_THAT(effects_of("a"), ElementsAre(1, 2, 3));
    EXPECT_EQ(statistics.duplicates, 1u);
    EXPECT_EQ(statistics.dead, 0u);
}

TEST_F(ConsumerRunnerTest, type_without_a_handler_is_ignored_or_with_strict_a_dead_letter) {
    StoredMessage unknown = message("a", 1);
    unknown.type = "unknown";
    topic.push(unknown);
    push("a", 2);
    ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.ignored, 1u);
    EXPECT_THAT(effects_of("a"), ElementsAre(2));
    EXPECT_TRUE(topic.is_empty());

    is_strict = true;
    topic.reopen();
    unknown = message("b", 3);
    unknown.type = "unknown";
    topic.push(unknown);
    statistics = run();
    EXPECT_EQ(statistics.dead, 1u);
    EXPECT_NE(store.dead.begin()->second.find("\"unknown\""), std::string::npos);
}

TEST_F(ConsumerRunnerTest, message_without_an_id_is_known_by_its_place) {
    StoredMessage nameless = message("a", 1);
    nameless.message_id = Uuid{};
    topic.push(nameless);
    topic.push(nameless);
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.processed, 2u) << "two messages, not one that came twice";
    ASSERT_EQ(store.inbox.size(), 2u);
    EXPECT_FALSE(store.inbox.contains(Uuid{}));
}

TEST_F(ConsumerRunnerTest, schema_that_is_missing_ends_it) {
    before = [](const Delivery&) { throw Error(Errc::schema_missing, "run `txm migrate`"); };
    push("a", 1);
    EXPECT_THROW(run(), Error);
    EXPECT_EQ(topic.unacknowledged(), 1u);
}

TEST_F(ConsumerRunnerTest, unreachable_broker_is_tried_again) {
    std::map<std::string, int> calls;
    topic.hook = [&](const std::string& step) {
        if (++calls[step] <= 3)
            throw Error(Errc::broker_unavailable, "connection refused");
    };
    push("a", 1);
    push("a", 2);
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.processed, 2u);
    EXPECT_EQ(statistics.duplicates, 0u) << "only the acknowledgement is tried again, not the handler";
    EXPECT_TRUE(topic.is_empty());
    EXPECT_TRUE(has_event("the broker gives no deliveries"));
}

TEST_F(ConsumerRunnerTest, delivery_that_another_member_took_over_is_left_to_it) {
    topic.hook = [](const std::string& step) {
        if (step == "acknowledge")
            throw FenceLostError("another member has the lane");
    };
    options.drain = false;
    push("a", 1);
    push("b", 2);
    after = [&](const Delivery&) {
        if (effects.size() == 2)
            runner->stop();
    };
    EXPECT_EQ(run().processed, 2u);
}

TEST_F(ConsumerRunnerTest, deliveries_are_extended_while_they_are_handled_or_blocked) {
    before = [&](const Delivery& delivery) {
        if (number(delivery) == 1 && !topic.extended.contains(message("", 2).message_id))
            throw std::runtime_error("not yet");
    };
    options.max_attempts = 1'000'000;
    push("a", 1);
    push("a", 2);  // waits behind it
    EXPECT_EQ(run().processed, 2u);
    EXPECT_TRUE(topic.extended.contains(message("", 1).message_id));
}

TEST_F(ConsumerRunnerTest, deliveries_are_extended_as_often_as_the_broker_needs_it) {
    options.extend_every = std::chrono::hours{1};
    topic.must_be_extended_within = std::chrono::milliseconds{1};
    before = [&](const Delivery&) {
        if (topic.extended.empty())
            throw std::runtime_error("not yet");
    };
    options.max_attempts = 1'000'000;
    push("a", 1);
    EXPECT_EQ(run().processed, 1u);
}

TEST_F(ConsumerRunnerTest, inbox_is_purged_in_batches_by_the_holder_of_the_lease) {
    store.forgettable = 1200;
    options.drain = false;
    store.hook = [&](const std::string& step) {
        if (step == "purge_inbox" && store.forgettable < 500)
            runner->stop();
    };
    run();
    EXPECT_EQ(store.forgettable, 0u);

    store.forgettable = 1200;
    store.leased_elsewhere = {"purge"};
    options.drain = true;
    store.hook = {};
    topic.reopen();
    run();
    EXPECT_EQ(store.forgettable, 1200u);
}

}  // namespace
}  // namespace txm::test
