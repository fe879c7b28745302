#include "txm/relay.hpp"
#include "support/fake_feed.hpp"
#include "support/fake_publisher.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using txm::MessageState;
using txm::testing::FakeFeed;
using txm::testing::FakePublisher;
using Verdict = FakePublisher::Verdict;

class RelayTest : public testing::Test {
protected:
    RelayTest() {
        options.backoff = 2ms;
        options.max_backoff = 20ms;
        options.park_after = 10ms;
        options.max_attempts = 4;
        options.drain = true;
    }

    void start() {
        relay = std::make_unique<txm::Relay>(feed, publisher, options);
        relay->on_event([this](const std::string& line) { events.push_back(line); });
        ended = false;
        boost::asio::co_spawn(context, relay->run(), [this](std::exception_ptr e) {
            error = e;
            ended = true;
        });
    }

    // Runs until run() ended.
    void run() {
        start();
        wait_for([this] { return ended; });
        if (error)
            std::rethrow_exception(error);
    }

    void wait_for(const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        while (!condition()) {
            context.restart();
            context.run_one_for(100ms);
            ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "what the test waits for did not happen";
        }
    }

    Verdict refuse_payload(const txm::StoredMessage& message, const std::string& payload) {
        return message.payload == payload ? Verdict::refuse : Verdict::acknowledge;
    }

    FakeFeed feed;
    FakePublisher publisher;
    txm::RelayOptions options;
    boost::asio::io_context context;
    std::unique_ptr<txm::Relay> relay;
    std::vector<std::string> events;
    bool ended = false;
    std::exception_ptr error;
};

TEST_F(RelayTest, CarriesEveryMessageInOrderAndReleasesTheLease) {
    for (int i = 0; i < 5000; ++i)
        feed.add("a" + std::to_string(i % 37));
    options.max_in_flight = 256;
    options.batch = 32;
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 5000u);
    EXPECT_EQ(publisher.accepted.size(), 5000u);
    EXPECT_TRUE(publisher.is_in_order());
    EXPECT_FALSE(publisher.saw_two_of_a_lane);
    EXPECT_LE(feed.most_out(), 2u * 256u);
    EXPECT_EQ(feed.released, 1);
    EXPECT_EQ(relay->statistics().dispatched, 5000u);
    EXPECT_EQ(relay->statistics().in_flight, 0u);
    EXPECT_FALSE(relay->statistics().is_active);
}

TEST_F(RelayTest, KeepsManyBatchesInFlightButOneMessageOfALane) {
    for (int i = 0; i < 2000; ++i)
        feed.add("a" + std::to_string(i % 101));
    options.batch = 16;
    publisher.concurrency = 5;
    publisher.delay = 1ms;
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 2000u);
    EXPECT_EQ(publisher.most_batches_at_once, 5u);
    EXPECT_FALSE(publisher.saw_two_of_a_lane);
    EXPECT_TRUE(publisher.is_in_order());
}

TEST_F(RelayTest, AGaplessPublisherGetsRunsOfALane) {
    for (int i = 0; i < 1000; ++i)
        feed.add("one");
    publisher.is_gapless = true;
    publisher.concurrency = 3;
    publisher.delay = 1ms;
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 1000u);
    EXPECT_LT(publisher.batches, 50u);
    EXPECT_FALSE(publisher.saw_two_of_a_lane);
    EXPECT_TRUE(publisher.is_in_order());
}

TEST_F(RelayTest, NackNAcceptNPlus1FakeBroker) {
    for (int i = 0; i < 20; ++i)
        feed.add("a", std::to_string(i));
    feed.add("b", "b");
    int refusals = 3;
    publisher.concurrency = 4;
    publisher.verdict = [&](const auto& m) {
        return m.payload == "7" && refusals-- > 0 ? Verdict::refuse : Verdict::acknowledge;
    };
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 21u);
    EXPECT_TRUE(publisher.is_in_order());
    EXPECT_EQ(relay->statistics().refused, 3u);
}

TEST_F(RelayTest, AGaplessRunThatIsRefusedInTheMiddleKeepsItsOrder) {
    for (int i = 0; i < 50; ++i)
        feed.add("a", std::to_string(i));
    int refusals = 2;
    publisher.is_gapless = true;
    publisher.verdict = [&](const auto& m) {
        return m.payload == "20" && refusals-- > 0 ? Verdict::refuse : Verdict::acknowledge;
    };
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 50u);
    EXPECT_TRUE(publisher.is_in_order());
}

TEST_F(RelayTest, ADeadLetterHoldsItsOwnAggregateOnly) {
    const auto before = feed.add("a"), poison = feed.add("a", "poison"), after = feed.add("a");
    const auto other = feed.add("b");
    publisher.verdict = [&](const auto& m) { return refuse_payload(m, "poison"); };
    run();
    EXPECT_EQ(feed.row(before).message.state, MessageState::dispatched);
    EXPECT_EQ(feed.row(poison).message.state, MessageState::dead);
    EXPECT_EQ(feed.row(poison).message.attempts, 4);
    EXPECT_THAT(feed.row(poison).reason, HasSubstr("the test refuses it"));
    EXPECT_EQ(feed.row(after).message.state, MessageState::parked);
    EXPECT_TRUE(feed.blocked().at("a").is_held);
    EXPECT_EQ(feed.row(other).message.state, MessageState::dispatched);
    EXPECT_THAT(events, Contains(AllOf(HasSubstr("dead letter"), HasSubstr("aggregate a"), HasSubstr("replay"))));
    EXPECT_EQ(relay->statistics().dead, 1u);
}

TEST_F(RelayTest, AReplayedDeadLetterGoesOutBeforeWhatWaitedForIt) {
    const auto poison = feed.add("a", "poison");
    feed.add("a");
    feed.add("a");
    bool is_mended = false;
    publisher.verdict = [&](const auto& m) { return is_mended ? Verdict::acknowledge : refuse_payload(m, "poison"); };
    run();
    ASSERT_EQ(feed.row(poison).message.state, MessageState::dead);
    is_mended = true;
    feed.replay(poison);
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 3u);
    EXPECT_TRUE(publisher.is_in_order());
}

TEST_F(RelayTest, UnderSkipALaneGoesOnOnlyAfterTheDeadLetterIsRecorded) {
    const auto poison = feed.add("a", "poison"), after = feed.add("a", "after");
    options.policy = txm::DeadLetterPolicy::skip;
    publisher.verdict = [&](const auto& m) {
        if (m.payload == "after") {
            EXPECT_EQ(feed.row(poison).message.state, MessageState::dead);
        }
        return refuse_payload(m, "poison");
    };
    run();
    EXPECT_EQ(feed.row(poison).message.state, MessageState::dead);
    EXPECT_EQ(feed.row(after).message.state, MessageState::dispatched);
    EXPECT_TRUE(feed.blocked().empty());
}

TEST_F(RelayTest, ZombieSkipIsFenced) {
    feed.add("a", "poison");
    const auto after = feed.add("a", "after");
    options.policy = txm::DeadLetterPolicy::skip;
    bool is_mended = false;
    publisher.verdict = [&](const auto& m) { return is_mended ? Verdict::acknowledge : refuse_payload(m, "poison"); };
    feed.on_settle = [&](std::span<const txm::Outcome> outcomes) {
        if (outcomes.front().settlement == txm::Settlement::dead && !is_mended) {
            is_mended = true;  // meanwhile a new owner has the lease, and will deliver it
            feed.lose_lease();
        }
    };
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 2u);
    EXPECT_EQ(publisher.first_acknowledgements("a"), (std::vector<txm::Sequence>{1, after}));
    EXPECT_EQ(relay->statistics().lease_losses, 1u);
    EXPECT_EQ(relay->statistics().dead, 0u);
    EXPECT_EQ(feed.acquired, 2);
}

TEST_F(RelayTest, ALostLeaseForgetsEverythingAndReadsAgain) {
    for (int i = 0; i < 500; ++i)
        feed.add("a" + std::to_string(i % 10));
    publisher.concurrency = 3;
    publisher.delay = 1ms;
    options.batch = 5;
    int settles = 0;
    feed.on_settle = [&](auto) {
        if (++settles == 7 || settles == 20)
            feed.lose_lease();
    };
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 500u);
    EXPECT_TRUE(publisher.is_in_order());
    EXPECT_EQ(relay->statistics().lease_losses, 2u);
}

TEST_F(RelayTest, ALongBlockedLaneIsParkedAndComesBack) {
    const auto first = feed.add("a", "slow");
    for (int i = 0; i < 10; ++i)
        feed.add("a");
    int refusals = 3;
    options.backoff = 20ms;
    publisher.verdict = [&](const auto& m) {
        return m.payload == "slow" && refusals-- > 0 ? Verdict::refuse : Verdict::acknowledge;
    };
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 11u);
    EXPECT_EQ(feed.row(first).message.attempts, 3);
    EXPECT_GE(relay->statistics().parked, 1u);
    EXPECT_TRUE(publisher.is_in_order());
    EXPECT_TRUE(feed.blocked().empty());
    EXPECT_THAT(events, Contains(AllOf(HasSubstr("blocked"), HasSubstr("aggregate a"))));
}

TEST_F(RelayTest, TenThousandStuckAggregatesDoNotStopOthers) {
    constexpr std::size_t stuck = 10'000;
    for (std::size_t i = 0; i < stuck; ++i)
        feed.add("stuck" + std::to_string(i), "stuck");
    for (int i = 0; i < 100; ++i)
        feed.add("fine", "fine");
    options.drain = false;
    options.max_in_flight = 400;
    options.max_attempts = 1000;
    options.backoff = options.max_backoff = 60s;
    options.park_after = 1h;  // what parks them is that they take the memory
    publisher.verdict = [&](const auto& m) { return refuse_payload(m, "stuck"); };
    start();
    wait_for([&] { return feed.count(MessageState::dispatched) == 100; });
    EXPECT_TRUE(publisher.is_in_order());
    EXPECT_LE(feed.most_out(), 3u * 400u);
    EXPECT_GE(feed.blocked().size(), stuck - 400);
    relay->stop();
    wait_for([&] { return ended; });
}

TEST_F(RelayTest, AnOutageSpendsNoAttemptAndHoldsWithBoundedMemory) {
    for (int i = 0; i < 1000; ++i)
        feed.add("a" + std::to_string(i));
    options.max_in_flight = 100;
    options.batch = 10;
    int batches = 0;
    publisher.on_batch = [&](const auto&) { ++batches; };
    publisher.verdict = [&](const auto&) { return batches < 6 ? Verdict::disconnect : Verdict::acknowledge; };
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 1000u);
    EXPECT_EQ(relay->statistics().parked, 0u);
    EXPECT_EQ(relay->statistics().dead, 0u);
    EXPECT_EQ(relay->statistics().outages, 1u);
    EXPECT_LE(feed.most_out(), 200u);
    EXPECT_THAT(events, Contains(HasSubstr("unreachable")));
    EXPECT_THAT(events, Contains(HasSubstr("answers again")));
}

TEST_F(RelayTest, PoisonThatCutsTheConnection) {
    feed.add("p", "poison");
    const auto behind = feed.add("p");
    for (int i = 0; i < 300; ++i)
        feed.add("a" + std::to_string(i % 50));
    options.batch = 20;
    publisher.verdict = [&](const auto& m) {
        return m.payload == "poison" ? Verdict::disconnect : Verdict::acknowledge;
    };
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 300u);
    EXPECT_EQ(feed.row(1).message.state, MessageState::dead);
    EXPECT_THAT(feed.row(1).reason, HasSubstr("did not answer"));
    EXPECT_EQ(feed.row(behind).message.state, MessageState::parked);
    EXPECT_EQ(relay->statistics().dead, 1u);
    EXPECT_TRUE(publisher.is_in_order());
}

TEST_F(RelayTest, AMessageThatIsNeverReportedIsFoundOut) {
    feed.add("p", "poison");
    for (int i = 0; i < 100; ++i)
        feed.add("a" + std::to_string(i % 10));
    publisher.verdict = [&](const auto& m) { return m.payload == "poison" ? Verdict::ignore : Verdict::acknowledge; };
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 100u);
    EXPECT_EQ(feed.row(1).message.state, MessageState::dead);
}

TEST_F(RelayTest, OneEndpointDownOtherFlows) {
    for (int i = 0; i < 1000; ++i) {
        feed.add("d" + std::to_string(i), "x", "down");
        feed.add("u" + std::to_string(i % 20), "x", "up");
    }
    options.max_in_flight = 100;
    options.drain = false;
    bool is_down = true;
    publisher.concurrency = 4;
    publisher.destination_name = [](const auto& m) { return m.topic; };
    publisher.verdict = [&](const auto& m) {
        return is_down && m.topic == "down" ? Verdict::disconnect : Verdict::acknowledge;
    };
    start();
    wait_for([&] { return feed.count(MessageState::dispatched) == 1000; });
    EXPECT_EQ(relay->statistics().dead, 0u);
    EXPECT_LE(feed.most_out(), 200u);
    is_down = false;
    wait_for([&] { return feed.count(MessageState::dispatched) == 2000; });
    EXPECT_EQ(relay->statistics().dead, 0u);
    EXPECT_TRUE(publisher.is_in_order());
    relay->stop();
    wait_for([&] { return ended; });
}

TEST_F(RelayTest, ADestinationThatHidesTheOthersIsLookedPast) {
    for (int i = 0; i < 400; ++i)
        feed.add("d" + std::to_string(i), "x", "down");
    for (int i = 0; i < 50; ++i)
        feed.add("u" + std::to_string(i), "x", "up");
    options.max_in_flight = 100;
    options.drain = false;
    publisher.destination_name = [](const auto& m) { return m.topic; };
    publisher.verdict = [&](const auto& m) { return m.topic == "down" ? Verdict::disconnect : Verdict::acknowledge; };
    start();
    wait_for([&] { return feed.count(MessageState::dispatched) == 50; });
    relay->stop();
    wait_for([&] { return ended; });
}

/// Each life of the relay ends in the middle of the send that has the killer in it.
class CrashLoop : public RelayTest {
protected:
    int run_until_found() {
        feed.clean_start = false;
        options.drain_deadline = 0ms;
        int lives = 0;
        for (bool was_killed = true; was_killed; ++lives) {
            if (lives == 20)
                return lives;
            was_killed = false;
            publisher.on_batch = [&](const txm::PublishBatch& batch) {
                for (const auto& m : batch) {
                    if (m.payload == "killer") {
                        was_killed = true;
                        relay->stop();
                        relay->stop();
                    }
                }
            };
            publisher.verdict = [&](const auto&) { return was_killed ? Verdict::ignore : Verdict::acknowledge; };
            publisher.delay = 1ms;
            run();
            context.restart();
            context.run_for(5ms);
        }
        return lives;
    }
};

TEST_F(CrashLoop, MessageIsDeadLetteredNeighboursAreNot) {
    for (int i = 0; i < 9; ++i)
        feed.add("a" + std::to_string(i), i == 4 ? "killer" : "fine");
    options.max_attempts = 3;
    const int lives = run_until_found();
    EXPECT_EQ(feed.count(MessageState::dispatched), 8u);
    EXPECT_EQ(feed.row(5).message.state, MessageState::dead);
    EXPECT_THAT(feed.row(5).reason, HasSubstr("killed 3 times"));
    EXPECT_EQ(relay->statistics().dead, 1u);
    EXPECT_LE(lives, 5);
}

TEST_F(CrashLoop, IsFoundInEverSmallerBatches) {
    for (int i = 0; i < 300; ++i)
        feed.add("a" + std::to_string(i), i == 40 ? "killer" : "fine");
    options.max_attempts = 6;
    options.batch = 64;
    const int lives = run_until_found();
    EXPECT_EQ(feed.count(MessageState::dispatched), 299u);
    EXPECT_EQ(feed.row(41).message.state, MessageState::dead);
    EXPECT_EQ(lives, 7);                // as many as if each had always been alone
    EXPECT_LT(publisher.batches, 40u);  // one at a time it would be some 300
}

TEST_F(RelayTest, AfterACleanStartNothingIsMarked) {
    feed.add("a");
    run();
    EXPECT_TRUE(feed.marked.empty());
}

TEST_F(RelayTest, StoreErrorsAreTriedAgainAndLoseNothing) {
    for (int i = 0; i < 200; ++i)
        feed.add("a" + std::to_string(i % 20), i == 50 ? "slow" : "x");
    const auto busy = std::make_exception_ptr(txm::Error(txm::Errc::store_unavailable, "the database is locked"));
    feed.fail_next("acquire", busy);
    feed.fail_next("read", busy, 2);
    feed.fail_next("settle", busy, 2);
    feed.fail_next("park", busy);
    int refusals = 2;
    options.backoff = 20ms;
    publisher.verdict = [&](const auto& m) {
        return m.payload == "slow" && refusals-- > 0 ? Verdict::refuse : Verdict::acknowledge;
    };
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 200u);
    EXPECT_TRUE(publisher.is_in_order());
    EXPECT_THAT(events, Contains(HasSubstr("the database is locked")));
}

TEST_F(RelayTest, AMissingSchemaEndsIt) {
    feed.fail_next("read", std::make_exception_ptr(txm::Error(txm::Errc::schema_missing, "run `txm migrate`")));
    try {
        run();
        FAIL() << "run() returned";
    } catch (const txm::Error& e) {
        EXPECT_EQ(e.code(), txm::Errc::schema_missing);
    }
    EXPECT_EQ(feed.released, 1);
}

TEST_F(RelayTest, APipeWithoutReaderEndsItAfterRecordingWhatWasTaken) {
    feed.add("a");
    feed.add("b");
    feed.add("c", "late");
    publisher.verdict = [&](const auto& m) -> Verdict {
        if (m.payload == "late")
            throw txm::Error(std::make_error_code(std::errc::broken_pipe), "nobody reads the output");
        return Verdict::acknowledge;
    };
    EXPECT_THROW(run(), txm::Error);
    EXPECT_EQ(feed.count(MessageState::dispatched), 2u);
    EXPECT_EQ(feed.count(MessageState::pending), 1u);
}

TEST_F(RelayTest, AForeignRowThatNoBrokerCanTakeIsADeadLetterAtOnce) {
    const auto bad = feed.add("a", "caf\xe9"), good = feed.add("b");
    run();
    EXPECT_EQ(feed.row(bad).message.state, MessageState::dead);
    EXPECT_THAT(feed.row(bad).reason, HasSubstr("UTF-8"));
    EXPECT_EQ(feed.row(good).message.state, MessageState::dispatched);
    EXPECT_EQ(publisher.accepted.size(), 1u);
}

TEST_F(RelayTest, StopFinishesWhatIsInFlightAndReadsNoMore) {
    for (int i = 0; i < 1000; ++i)
        feed.add("a" + std::to_string(i));
    options.drain = false;
    options.batch = 10;
    publisher.delay = 5ms;
    start();
    wait_for([&] { return publisher.batches == 3; });
    relay->stop();
    wait_for([&] { return ended; });
    EXPECT_EQ(publisher.batches, 3u);
    EXPECT_EQ(feed.count(MessageState::dispatched), publisher.accepted.size());
    EXPECT_EQ(feed.released, 1);
    EXPECT_FALSE(error);
}

TEST_F(RelayTest, StopFromAnotherThreadWhileItWaits) {
    options.drain = false;
    start();
    wait_for([&] { return relay->statistics().is_active; });
    auto work = boost::asio::make_work_guard(context);
    std::thread stopper{[&] { boost::asio::post(context, [&] { relay->stop(); }); }};
    wait_for([&] { return ended; });
    stopper.join();
    EXPECT_EQ(feed.released, 1);
}

TEST_F(RelayTest, StopBeforeRunEndsItAtOnce) {
    feed.add("a");
    relay = std::make_unique<txm::Relay>(feed, publisher, options);
    relay->stop();
    boost::asio::co_spawn(context, relay->run(), [this](std::exception_ptr) { ended = true; });
    wait_for([&] { return ended; });
    EXPECT_EQ(publisher.batches, 0u);
}

TEST_F(RelayTest, ASecondStopDoesNotWait) {
    feed.add("a");
    options.drain = false;
    publisher.delay = 10min;
    start();
    wait_for([&] { return publisher.batches == 1; });
    relay->stop();
    relay->stop();
    wait_for([&] { return ended; });
    EXPECT_EQ(feed.count(MessageState::pending), 1u);
}

TEST_F(RelayTest, TheDrainDeadlineEndsAStopThatHangs) {
    feed.add("a");
    options.drain = false;
    options.drain_deadline = 5ms;
    publisher.delay = 10min;
    start();
    wait_for([&] { return publisher.batches == 1; });
    relay->stop();
    wait_for([&] { return ended; });
    EXPECT_EQ(feed.released, 1);
    EXPECT_EQ(feed.count(MessageState::pending), 1u);
}

TEST_F(RelayTest, NewMessagesAreCarriedWhileItRuns) {
    options.drain = false;
    start();
    for (int i = 0; i < 50; ++i) {
        feed.add("a" + std::to_string(i % 3));
        wait_for([&] { return feed.count(MessageState::dispatched) == static_cast<std::size_t>(i + 1); });
    }
    EXPECT_TRUE(publisher.is_in_order());
    relay->stop();
    wait_for([&] { return ended; });
}

class UncleanStarts : public RelayTest, public testing::WithParamInterface<Verdict> {};

TEST_P(UncleanStarts, DuringAnOutageCostNoMessageItsLife) {
    for (int i = 0; i < 20; ++i)
        feed.add("a" + std::to_string(i));
    feed.clean_start = false;
    options.max_attempts = 3;
    options.drain_deadline = 0ms;
    publisher.verdict = [](const auto&) { return GetParam(); };
    for (int lives = 0; lives < 8; ++lives) {
        const auto outages = publisher.sends;
        start();
        wait_for([&] { return publisher.sends >= outages + 3; });
        relay->stop();
        relay->stop();
        wait_for([&] { return ended; });
    }
    publisher.verdict = [](const auto&) { return Verdict::acknowledge; };
    run();
    EXPECT_EQ(feed.count(MessageState::dispatched), 20u);
}

INSTANTIATE_TEST_SUITE_P(Relay, UncleanStarts, testing::Values(Verdict::disconnect, Verdict::postpone),
                         [](const auto& param) {
                             return param.param == Verdict::postpone ? "postponed" : "disconnected";
                         });

TEST_F(RelayTest, KeepsItsLeaseWhileTheBrokerHangsAndMemoryIsFull) {
    for (int i = 0; i < 20; ++i)
        feed.add("a" + std::to_string(i));
    options.max_in_flight = 4;
    options.drain_deadline = 0ms;
    publisher.delay = 24h;
    start();
    wait_for([&] { return feed.settles > 0; });
    relay->stop();
    wait_for([&] { return ended; });
}

TEST_F(RelayTest, SendsNothingWhileItsLeaseIsInDoubt) {
    feed.add("a");
    feed.is_in_doubt = true;
    options.drain = false;
    int empty_settlements = 0;
    feed.on_settle = [&](const auto& outcomes) {
        if (outcomes.empty() && ++empty_settlements == 3) {
            EXPECT_EQ(publisher.sends, 0u);
            feed.is_in_doubt = false;
        }
    };
    start();
    wait_for([&] { return feed.count(MessageState::dispatched) == 1; });
    EXPECT_GE(empty_settlements, 3);
    relay->stop();
    wait_for([&] { return ended; });
}

// What the store gave before a lane was blocked is the store's again, also when the relay is still marking it.
TEST_F(RelayTest, WhatIsMarkedWhileItsLaneIsBlockedIsForgotten) {
    feed.clean_start = false;
    options.max_in_flight = 4;  // one message a read
    options.max_attempts = 1;
    options.drain = false;
    bool is_refused = true;
    publisher.verdict = [&](const auto& m) {
        return m.payload == "1" && is_refused ? Verdict::refuse : Verdict::acknowledge;
    };
    const auto first = feed.add("a", "1");
    feed.add("a", "2");
    publisher.delay = 5ms;
    // The second one is marked for as long as it takes until the lane is held.
    feed.on_mark = [&](const auto& starting) {
        return starting.front().sequence != first && feed.row(first).message.state != MessageState::dead;
    };
    start();
    wait_for([&] { return feed.row(first).message.state == MessageState::dead && feed.marked.size() == 2; });
    const auto later = feed.add("b", "3");
    wait_for([&] { return feed.row(later).message.state == MessageState::dispatched; });
    EXPECT_EQ(publisher.accepted.size(), 1u);
    relay->stop();
    wait_for([&] { return ended; });
    is_refused = false;
    feed.on_mark = {};
    options.drain = true;
    feed.replay(first);
    run();
    EXPECT_THAT(publisher.first_acknowledgements("a"), ElementsAre(1, 2));
}

// As when each run has an io_context of its own; a checked build tells.
TEST_F(RelayTest, ARelayMayLiveLongerThanTheExecutorThatItRanOn) {
    txm::Relay orphan{feed, publisher, options};
    txm::sync_wait(orphan.run());
    orphan.stop();
    EXPECT_EQ(orphan.statistics().dispatched, 0u);
}

}  // namespace
