#include "support/consumer_bench.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace txm::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;
using testing::UnorderedElementsAre;

class ConsumerAttemptsTest : public testing::Test, public ConsumerBench {
protected:
    // As if an earlier process had been killed with these in flight.
    void push_redelivered(Sequence from, Sequence to) {
        for (Sequence n = from; n <= to; ++n)
            push("lane-" + std::to_string(n), n);
        boost::asio::co_spawn(io, topic.receive(1'000), [](std::exception_ptr, std::vector<Delivery>) {});
        io.restart();
        io.run();
        topic.reopen();
    }

    static Uuid id(Sequence n) { return message("", n).message_id; }

    // Never ends by itself.
    awaitable<void> hang() {
        boost::asio::steady_timer timer(io, std::chrono::hours(1));
        co_await timer.async_wait(boost::asio::use_awaitable);
    }
};

TEST_F(ConsumerAttemptsTest, attempts_of_what_is_delivered_first_are_not_counted) {
    store.hook = [](const std::string& step) { EXPECT_EQ(step.find("attempt"), step.npos); };
    for (Sequence n = 1; n <= 10; ++n)
        push("a", n);
    run();
    EXPECT_EQ(effects.size(), 10u);
}

TEST_F(ConsumerAttemptsTest, suspects_are_handled_one_at_a_time_and_others_beside_them) {
    push_redelivered(1, 20);
    for (Sequence n = 1; n <= 10; ++n)
        store.unfinished[id(n)] = 1;
    int suspects = 0, most = 0;
    meanwhile = [&](const Delivery& delivery) -> awaitable<void> {
        const int is_suspect = number(delivery) <= 10 ? 1 : 0;
        most = std::max(most, suspects += is_suspect);
        for (int i = 0; i < 20; ++i)
            co_await boost::asio::post(boost::asio::use_awaitable);
        suspects -= is_suspect;
    };
    options.max_in_flight = 4;
    run();
    EXPECT_EQ(most, 1);
    EXPECT_GT(most_at_once, 1u);
    EXPECT_EQ(effects.size(), 20u);
    EXPECT_THAT(store.unfinished, IsEmpty());
}

TEST_F(ConsumerAttemptsTest, suspects_that_wait_for_a_slow_one_take_nobodys_place) {
    push_redelivered(1, 6);
    for (Sequence n = 1; n <= 6; ++n)
        store.unfinished[id(n)] = 1;
    for (Sequence n = 7; n <= 40; ++n)
        push("lane-" + std::to_string(n), n);
    std::size_t flowed = 0;
    meanwhile = [&](const Delivery& delivery) -> awaitable<void> {
        for (int i = 0; i < 10'000 && number(delivery) == 1 && effects.size() < 34; ++i)
            co_await boost::asio::post(boost::asio::use_awaitable);
        if (number(delivery) == 1)
            flowed = effects.size();
    };
    options.max_in_flight = 4;
    run();
    EXPECT_EQ(flowed, 34u);
    EXPECT_LE(most_at_once, 4u);
    EXPECT_EQ(effects.size(), 40u);
}

TEST_F(ConsumerAttemptsTest, the_last_attempt_has_nothing_beside_it) {
    push_redelivered(1, 6);
    store.unfinished[id(2)] = store.unfinished[id(4)] = store.unfinished[id(5)] = 3;
    store.unfinished[id(3)] = 1;
    for (Sequence n = 7; n <= 40; ++n)
        push("lane-" + std::to_string(n), n);
    int running = 0, most_beside = 0;
    meanwhile = [&](const Delivery& delivery) -> awaitable<void> {
        ++running;
        const bool is_last = store.unfinished.contains(delivery.message.message_id) &&
                             store.unfinished[delivery.message.message_id] == 4;
        for (int i = 0; i < 20; ++i) {
            if (is_last)
                most_beside = std::max(most_beside, running - 1);
            co_await boost::asio::post(boost::asio::use_awaitable);
        }
        --running;
    };
    options.max_attempts = 4;
    options.max_in_flight = 4;
    run();
    EXPECT_EQ(most_beside, 0);
    EXPECT_GT(most_at_once, 1u);
    EXPECT_EQ(effects.size(), 40u);
    EXPECT_THAT(store.unfinished, IsEmpty());
}

TEST_F(ConsumerAttemptsTest, suspects_that_fail_are_no_obstacle_to_others) {
    push_redelivered(1, 8);
    for (Sequence n = 1; n <= 8; ++n)
        store.unfinished[id(n)] = 2;
    options.max_attempts = 3;
    before = [](const Delivery& delivery) {
        if (number(delivery) == 1)
            throw Rejected("no");
        if (number(delivery) == 2)
            throw std::runtime_error("not yet");
    };
    after = [thrown = false](const Delivery& delivery) mutable {
        if (number(delivery) == 3 && !std::exchange(thrown, true))
            throw CommitOutcomeUnknown("the answer was lost");
    };
    run();
    EXPECT_THAT(store.dead, UnorderedElementsAre(Key(id(1)), Key(id(2))));
    EXPECT_EQ(effects.size(), 6u);
    EXPECT_THAT(store.unfinished, IsEmpty());
}

TEST_F(ConsumerAttemptsTest, too_many_ends_make_a_dead_letter_that_is_not_handled) {
    options.max_attempts = 4;
    push_redelivered(1, 2);
    store.unfinished[id(1)] = 4;
    store.unfinished[id(2)] = 3;
    run();
    EXPECT_EQ(tries[1], 0);
    EXPECT_THAT(store.dead, UnorderedElementsAre(Key(id(1))));
    EXPECT_EQ(store.dead_attempts[id(1)], 4);
    EXPECT_THAT(effects_of("lane-2"), ElementsAre(2));
}

TEST_F(ConsumerAttemptsTest, a_store_that_fails_is_asked_again) {
    push_redelivered(1, 6);
    for (Sequence n = 1; n <= 3; ++n)
        store.unfinished[id(n)] = 1;
    std::map<std::string, int> calls;
    store.hook = [&](const std::string& step) {
        if (step.find("attempt") != step.npos && ++calls[step] % 3 == 1)
            throw Error(Errc::store_unavailable, "database is locked");
    };
    run();
    EXPECT_EQ(effects.size(), 6u);
    for (Sequence n = 1; n <= 6; ++n)
        EXPECT_EQ(tries[n], 1) << n;
    EXPECT_THAT(store.unfinished, IsEmpty());
}

TEST_F(ConsumerAttemptsTest, stop_ends_suspects_that_wait) {
    push_redelivered(1, 6);
    for (Sequence n = 2; n <= 6; ++n)
        store.unfinished[id(n)] = n == 2 ? 9 : 1;
    options.drain = false;
    options.drain_deadline = std::chrono::hours(1);
    meanwhile = [&](const Delivery&) -> awaitable<void> {
        for (int i = 0; i < 50; ++i)
            co_await boost::asio::post(boost::asio::use_awaitable);
        runner->stop();
    };
    run();
    EXPECT_THAT(effects_of("lane-1"), ElementsAre(1));
    EXPECT_EQ(effects.size(), 1u);
    EXPECT_EQ(store.unfinished.size(), 5u) << "of what was not handled nothing is known";
}

TEST_F(ConsumerAttemptsTest, what_is_no_fault_of_the_message_is_no_end_of_the_process) {
    push_redelivered(1, 1);
    before = [](const Delivery&) { throw Error(Errc::schema_missing, "the tables are missing"); };
    for (int i = 0; i < 12; ++i) {
        EXPECT_THROW(run(), Error);
        topic.reopen();
    }
    before = {};
    run();
    EXPECT_THAT(store.dead, IsEmpty());
    EXPECT_THAT(effects_of("lane-1"), ElementsAre(1));
}

TEST_F(ConsumerAttemptsTest, one_that_is_cancelled_is_no_end_of_the_process) {
    push_redelivered(1, 2);
    options.drain = false;
    meanwhile = [&](const Delivery&) -> awaitable<void> {
        runner->stop();
        runner->stop();
        co_await hang();
    };
    for (int i = 0; i < 12; ++i) {
        run();
        topic.reopen();
    }
    meanwhile = {};
    options.drain = true;
    run();
    EXPECT_THAT(store.dead, IsEmpty());
    EXPECT_EQ(effects.size(), 2u);
}

}  // namespace
}  // namespace txm::test
