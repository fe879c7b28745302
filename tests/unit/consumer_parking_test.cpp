#include "support/consumer_bench.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace txm::test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class ConsumerParkingTest : public testing::Test, public ConsumerBench {
protected:
    void fail_until(Sequence n, const bool& is_mended) {
        before = [n, &is_mended](const Delivery& delivery) {
            if (number(delivery) == n && !is_mended)
                throw std::runtime_error("not yet");
        };
    }

    void keep(Sequence n, bool is_replay = false) {
        Delivery parked;
        parked.message = message("a", n);
        parked.replay = is_replay;
        store.parked[{"orders", "a"}][n] = {parked, {}, "by an earlier run"};
    }

    /// The third answer of what is due comes late: after `happened`, and what follows from that.
    void answer_late_after(std::function<bool()> happened) {
        store.late_due = [this, happened = std::move(happened)]() -> awaitable<void> {
            if (++times_asked != 3)
                co_return;
            while (!happened())
                co_await boost::asio::post(boost::asio::use_awaitable);
            for (int i = 0; i < 100; ++i)
                co_await boost::asio::post(boost::asio::use_awaitable);
        };
    }
    int times_asked = 0;

    void run_parked() {
        topic.reopen();
        store.make_all_due();
        run();
    }
};

TEST_F(ConsumerParkingTest, lane_that_is_blocked_for_long_is_parked_and_goes_on_in_order_later) {
    bool is_mended = false;
    fail_until(1, is_mended);
    options.park_after = milliseconds(0);
    options.max_backoff = options.backoff = std::chrono::hours(1);
    for (Sequence n = 1; n <= 100; ++n)
        push(n % 2 ? "a" : "b", n);
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.processed, 50u);
    EXPECT_EQ(store.parked_count(), 50u);
    EXPECT_TRUE(topic.is_empty());
    EXPECT_EQ(store.parked.begin()->second.at(1).delivery.attempt, 1);
    EXPECT_EQ(store.parked.begin()->second.at(1).reason, "not yet");

    is_mended = true;
    run_parked();
    EXPECT_EQ(store.parked_count(), 0u);
    EXPECT_EQ(effects_of("a").size(), 50u);
    const auto order = effects_of("a");
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(ConsumerParkingTest, attempts_are_durable) {
    const bool never = false;
    fail_until(1, never);
    options.max_attempts = 4;
    options.park_after = milliseconds(0);
    options.max_backoff = options.backoff = std::chrono::hours(1);
    push("a", 1);
    push("a", 2);
    run();
    for (int i = 0; i < 3; ++i)
        run_parked();
    EXPECT_EQ(tries[1], 4);
    EXPECT_EQ(store.dead.size(), 1u);
    EXPECT_EQ(store.parked_count(), 1u) << "what is behind the dead letter waits for an operator";
    EXPECT_EQ(effects.size(), 0u);
}

TEST_F(ConsumerParkingTest, many_blocked_lanes_are_parked_at_once_and_others_flow) {
    options.max_in_flight = 4;
    options.max_backoff = options.backoff = std::chrono::hours(1);
    options.park_after = std::chrono::hours(24);
    before = [](const Delivery& delivery) {
        if (delivery.message.aggregate_id.str() != "healthy")
            throw std::runtime_error("blocked");
    };
    for (Sequence n = 1; n <= 200; ++n)
        push(n % 4 ? "blocked-" + std::to_string(n) : "healthy", n);
    options.drain = false;
    after = [&](const Delivery&) {
        if (effects.size() == 50)
            runner->stop();
    };
    EXPECT_EQ(run().processed, 50u);
    EXPECT_LE(topic.most_in_memory, 8u);
}

TEST_F(ConsumerParkingTest, lane_parked_while_the_store_is_asked_keeps_its_order) {
    // The second answer of is_parked() is made before the lane is parked, and arrives after it.
    options.park_after = milliseconds(0);
    options.max_backoff = options.backoff = std::chrono::hours(1);
    int answers = 0;
    store.late_answer = [&]() -> awaitable<void> {
        if (++answers != 2)
            co_return;
        while (!topic.acknowledged_one(message("", 1).message_id))
            co_await boost::asio::post(boost::asio::use_awaitable);
    };
    meanwhile = [&](const Delivery& delivery) -> awaitable<void> {
        if (number(delivery) != 1)
            co_return;
        push("a", 2);
        push("a", 3);
        while (answers < 2)
            co_await boost::asio::post(boost::asio::use_awaitable);
        throw std::runtime_error("not yet");
    };
    push("a", 1);
    run();
    EXPECT_EQ(effects.size(), 0u);
    EXPECT_EQ(store.parked_count(), 3u);
    store.late_answer = {};
    meanwhile = {};
    run_parked();
    EXPECT_THAT(effects_of("a"), ElementsAre(1, 2, 3));
}

// What is due is asked for, the message is given up, and then the answer comes, which knows nothing of that.
TEST_F(ConsumerParkingTest, answer_that_came_late_does_not_send_a_dead_letter_again) {
    options.max_attempts = 1;
    keep(1, true);
    store.inbox[message("a", 1).message_id] = {InboxState::dead, payload_hash("{}")};
    store.hook = [&](const std::string& step) {
        if (step == "begin_attempt")
            keep(2);
    };
    answer_late_after([&] { return !store.held.empty(); });
    meanwhile = [&](const Delivery&) -> awaitable<void> {
        while (times_asked < 3)
            co_await boost::asio::post(boost::asio::use_awaitable);
        throw std::runtime_error("not yet");
    };
    run();
    EXPECT_EQ(tries[1], 1);
    EXPECT_EQ(tries[2], 0) << "it waits for an operator, behind the dead letter";
    EXPECT_THAT(effects, ElementsAre());
}

TEST_F(ConsumerParkingTest, answer_that_came_late_does_not_end_the_drain_before_what_is_due) {
    keep(1);
    keep(2);
    store.only_heads = true;
    answer_late_after([&] { return store.parked_count() != 2; });
    meanwhile = [&](const Delivery&) -> awaitable<void> {
        while (times_asked < 3)
            co_await boost::asio::post(boost::asio::use_awaitable);
    };
    run();
    EXPECT_THAT(effects_of("a"), ElementsAre(1, 2));
}

// Two processes have the lane, because it was handed over while it was blocked. The other one gives the message up first.
TEST_F(ConsumerParkingTest, lane_that_another_process_holds_for_a_dead_letter_does_not_go_on) {
    before = [&](const Delivery& delivery) {
        if (number(delivery) != 1)
            return;
        store.inbox[delivery.message.message_id] = {InboxState::dead, payload_hash("{}")};
        store.held.insert({"orders", "a"});
        throw std::runtime_error("not yet");
    };
    push("a", 1);
    push("a", 2);
    push("b", 3);
    push("a", 4);
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.duplicates, 1u);
    EXPECT_THAT(effects_of("a"), ElementsAre());
    EXPECT_THAT(effects_of("b"), ElementsAre(3));
    EXPECT_EQ(store.parked_count(), 2u) << "they wait for an operator, behind the dead letter";
    EXPECT_TRUE(topic.is_empty());
}

TEST_F(ConsumerParkingTest, what_has_neither_id_nor_place_is_decided_and_not_parked) {
    bool is_mended = false;
    fail_until(1, is_mended);
    options.park_after = milliseconds(0);
    options.max_backoff = options.backoff = std::chrono::hours(1);
    topic.has_positions = false;
    push("a", 1);
    StoredMessage nameless = message("a", 2);
    nameless.message_id = Uuid{};
    topic.push(nameless);
    push("a", 3);
    run();
    EXPECT_EQ(store.parked_count(), 2u);
    EXPECT_EQ(store.dead.size(), 1u);
    topic.reopen();
    topic.push(nameless);  // its lane is parked now
    run();
    EXPECT_EQ(store.parked_count(), 2u);
    EXPECT_EQ(store.dead.size(), 2u);
    is_mended = true;
    run_parked();
    EXPECT_THAT(effects_of("a"), ElementsAre(1, 3));
}

TEST_F(ConsumerParkingTest, parked_lanes_are_left_to_the_holder_of_the_lease) {
    Delivery parked;
    parked.message = message("a", 1);
    store.parked[{"orders", "a"}][1] = {parked, Timestamp{}, "busy"};
    store.leased_elsewhere = {"parked"};
    options.drain = false;
    int looks = 0;
    store.hook = [&](const std::string& step) {
        if (step == "lease" && ++looks == 6)
            runner->stop();
    };
    run();
    EXPECT_EQ(effects.size(), 0u);
    store.leased_elsewhere.clear();
    store.hook = {};
    options.drain = true;
    run_parked();
    EXPECT_EQ(effects.size(), 1u);
}

TEST_F(ConsumerParkingTest, replayed_dead_letter_takes_effect) {
    options.max_attempts = 1;
    bool is_mended = false;
    fail_until(1, is_mended);
    push("a", 1);
    push("a", 2);
    run();
    ASSERT_EQ(store.dead.size(), 1u);
    // What an operator's replay does.
    Delivery again;
    again.message = message("a", 1);
    again.attempt = 0;
    again.replay = true;
    store.parked[{"orders", "a"}][1] = {again, Timestamp{}, "replayed"};
    store.held.clear();
    is_mended = true;
    run_parked();
    EXPECT_THAT(effects_of("a"), ElementsAre(1, 2));
    EXPECT_EQ(store.inbox.at(message("", 1).message_id).state, InboxState::processed);
    EXPECT_EQ(store.parked_count(), 0u);
}

TEST_F(ConsumerParkingTest, store_that_fails_while_parking_or_deciding_loses_nothing) {
    options.max_attempts = 2;
    options.park_after = milliseconds(0);
    std::map<std::string, int> calls;
    store.hook = [&](const std::string& step) {
        if (step != "park done" && step != "dead_letter done" && ++calls[step] <= 2)
            throw Error(Errc::store_unavailable, "database is locked");
        if (step == "park done" && calls[step]++ == 0)
            throw CommitOutcomeUnknown("the answer was lost");
        if (step == "dead_letter done" && calls[step]++ == 0)
            throw CommitOutcomeUnknown("the answer was lost");
    };
    before = [](const Delivery& delivery) {
        if (number(delivery) == 1)
            throw std::runtime_error("poison");
    };
    for (Sequence n = 1; n <= 6; ++n)
        push(n % 2 ? "a" : "b", n);
    run();
    for (int i = 0; i < 5; ++i)
        run_parked();
    EXPECT_EQ(store.dead.size(), 1u);
    EXPECT_EQ(store.parked_count(), 2u);
    EXPECT_THAT(effects_of("b"), ElementsAre(2, 4, 6));
    EXPECT_TRUE(topic.is_empty());
}

}  // namespace
}  // namespace txm::test
