#include "support/consumer_bench.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace txm::test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class ConsumerStopTest : public testing::Test, public ConsumerBench {
protected:
    ConsumerStopTest() { options.drain = false; }

    // Never ends by itself.
    awaitable<void> hang() {
        boost::asio::steady_timer timer(io, std::chrono::hours(1));
        co_await timer.async_wait(boost::asio::use_awaitable);
    }
};

TEST_F(ConsumerStopTest, stop_in_mid_handler_finishes_it_and_leaves_the_rest) {
    txm::detail::Signal may_go(io.get_executor());
    meanwhile = [&](const Delivery& delivery) -> awaitable<void> {
        if (number(delivery) != 1)
            co_return;
        runner->stop();
        boost::asio::post(io, [&] { may_go.notify(); });
        co_await may_go.wait();
    };
    push("a", 1);
    push("a", 2);
    const ConsumerStatistics statistics = run();
    EXPECT_EQ(statistics.processed, 1u);
    EXPECT_THAT(effects_of("a"), ElementsAre(1));
    EXPECT_THAT(topic.acknowledged, ElementsAre(message("", 1).message_id));
    EXPECT_EQ(topic.unacknowledged(), 1u) << "it comes again";
    EXPECT_EQ(store.releases, 1);

    meanwhile = {};
    options.drain = true;
    topic.reopen();
    EXPECT_EQ(run().duplicates, 0u);
    EXPECT_THAT(effects_of("a"), ElementsAre(1, 2));
}

TEST_F(ConsumerStopTest, drain_deadline_cancels_a_handler_that_hangs) {
    options.drain_deadline = milliseconds(1);
    meanwhile = [&](const Delivery&) -> awaitable<void> {
        runner->stop();
        co_await hang();
    };
    push("a", 1);
    EXPECT_EQ(run().processed, 0u);
    EXPECT_EQ(topic.unacknowledged(), 1u);
    EXPECT_EQ(effects.size(), 0u);
}

TEST_F(ConsumerStopTest, second_stop_cancels_at_once) {
    options.drain_deadline = std::chrono::hours(1);
    meanwhile = [&](const Delivery&) -> awaitable<void> {
        runner->stop();
        runner->stop();
        co_await hang();
    };
    push("a", 1);
    push("b", 2);
    EXPECT_EQ(run().processed, 0u);
    EXPECT_EQ(topic.unacknowledged(), 2u);
}

TEST_F(ConsumerStopTest, stop_ends_one_that_waits_for_deliveries_for_a_retry_or_for_a_broker) {
    store.hook = [&](const std::string& step) {
        if (step == "take_parked")
            runner->stop();
    };
    EXPECT_EQ(run().received, 0u);

    store.hook = {};
    topic.reopen();
    options.backoff = options.max_backoff = std::chrono::hours(1);
    options.park_after = std::chrono::hours(5);
    before = [&](const Delivery&) {
        boost::asio::post(io, [this] { runner->stop(); });
        throw std::runtime_error("not yet");
    };
    push("a", 1);
    EXPECT_EQ(run().failed, 1u);

    topic.reopen();
    topic.hook = [&](const std::string&) {
        boost::asio::post(io, [this] { runner->stop(); });
        throw Error(Errc::broker_unavailable, "connection refused");
    };
    run();
    EXPECT_EQ(topic.unacknowledged() + effects.size(), topic.unacknowledged());
}

TEST_F(ConsumerStopTest, stopped_before_it_runs_it_handles_nothing) {
    push("a", 1);
    ConsumerRunner idle(store, topic, options, [](const Incoming&, const Delivery&) -> awaitable<bool> {
        ADD_FAILURE();
        co_return true;
    });
    idle.stop();
    bool has_ended = false;
    boost::asio::co_spawn(io, idle.run(), [&](std::exception_ptr) { has_ended = true; });
    io.run();
    EXPECT_TRUE(has_ended);
}

TEST_F(ConsumerStopTest, cancelled_run_cancels_its_handlers_and_gives_the_leases_back) {
    boost::asio::cancellation_signal cancel;
    ConsumerRunner direct(store, topic, options, [&](const Incoming&, const Delivery&) -> awaitable<bool> {
        boost::asio::post(io, [&] { cancel.emit(boost::asio::cancellation_type::terminal); });
        co_await hang();
        co_return true;
    });
    push("a", 1);
    bool has_ended = false;
    boost::asio::co_spawn(io, direct.run(), boost::asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr) {
                              has_ended = true;
                          }));
    io.run();
    EXPECT_TRUE(has_ended);
    EXPECT_EQ(store.releases, 1);
    EXPECT_EQ(topic.unacknowledged(), 1u);
}

TEST_F(ConsumerStopTest, executor_that_ends_first_leaves_a_runner_that_can_be_stopped_and_destroyed) {
    options.backoff = options.max_backoff = std::chrono::hours(1);
    topic.hook = [](const std::string&) { throw Error(Errc::broker_unavailable, "connection refused"); };
    ConsumerRunner orphan(store, topic, options,
                          [](const Incoming&, const Delivery&) -> awaitable<bool> { co_return true; });
    {
        boost::asio::io_context own;
        boost::asio::co_spawn(own, orphan.run(), [](std::exception_ptr) {});
        own.poll();
    }  // destroys the coroutines where they wait
    orphan.stop();
    EXPECT_EQ(orphan.statistics().received, 0u);
}

}  // namespace
}  // namespace txm::test
