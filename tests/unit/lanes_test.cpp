#include "relay/lanes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using txm::relay::Batch;
using txm::relay::Decisions;
using txm::relay::Lanes;

txm::StoredMessage message(const std::string& aggregate, txm::Sequence sequence, const std::string& payload = "x") {
    txm::StoredMessage m;
    m.message_id = txm::new_uuid();
    m.aggregate_id = aggregate;
    m.topic = "t";
    m.payload = payload;
    m.sequence = sequence;
    return m;
}

txm::RelayOptions options() {
    txm::RelayOptions o;
    o.batch = 8;
    o.max_in_flight = 64;
    return o;
}

TEST(Lanes, GiveTheFirstOfEachLaneAndTheNextWhenItIsAcknowledged) {
    Lanes lanes{options(), false, [](const auto&) { return std::string{}; }};
    Decisions decisions;
    const auto now = txm::relay::Clock::now();
    for (txm::Sequence s = 1; s <= 6; ++s)
        lanes.push(message(s % 2 == 1 ? "odd" : "even", s), false, now, decisions);
    for (txm::Sequence expected = 1; expected <= 6; expected += 2) {
        Batch batch = lanes.take(now, decisions);
        ASSERT_EQ(batch.messages.size(), 2u);
        EXPECT_EQ(batch.messages[0].sequence, expected);
        EXPECT_EQ(batch.messages[1].sequence, expected + 1);
        EXPECT_TRUE(lanes.take(now, decisions).empty());
        txm::PublishBatch reports{batch.messages};
        for (const auto& m : batch.messages)
            reports.acknowledge(m);
        lanes.finish(std::move(batch), reports, {}, now, decisions);
    }
    EXPECT_EQ(lanes.size(), 0u);
    EXPECT_EQ(lanes.bytes(), 0u);
    EXPECT_EQ(lanes.lane_count(), 0u);
    EXPECT_EQ(decisions.outcomes.size(), 6u);
}

// As often as it happens, while others of its destination are acknowledged.
TEST(Lanes, WhatIsPostponedSpendsNoAttempt) {
    Lanes lanes{options(), false, [](const auto&) { return std::string{}; }};
    Decisions decisions;
    const auto now = txm::relay::Clock::now();
    lanes.push(message("postponed", 1), false, now, decisions);
    for (txm::Sequence round = 2; round < 40; ++round) {
        lanes.push(message("acknowledged", round), false, now, decisions);
        Batch batch = lanes.take(now, decisions);
        ASSERT_EQ(batch.messages.size(), 2u) << "they go together";
        txm::PublishBatch reports{batch.messages};
        for (const auto& m : batch.messages) {
            EXPECT_EQ(m.attempts, 0);
            if (m.aggregate_id.str() == "postponed")
                reports.postpone(m);
            else
                reports.acknowledge(m);
        }
        lanes.finish(std::move(batch), reports, "slow down", now, decisions);
    }
    EXPECT_TRUE(decisions.parks.empty());
    EXPECT_EQ(decisions.outages, 0u);
    EXPECT_EQ(lanes.size(), 1u);
}

TEST(Lanes, ALaneThatBacksOffIsReadyAgainWhenItsTimeHasCome) {
    auto o = options();
    o.backoff = 100ms;
    Lanes lanes{o, false, [](const auto&) { return std::string{}; }};
    Decisions decisions;
    auto now = txm::relay::Clock::now();
    lanes.push(message("a", 1), false, now, decisions);
    Batch batch = lanes.take(now, decisions);
    txm::PublishBatch reports{batch.messages};
    reports.refuse(batch.messages[0], "no");
    lanes.finish(std::move(batch), reports, {}, now, decisions);
    lanes.tick(now + 70ms, decisions);
    EXPECT_TRUE(lanes.take(now + 70ms, decisions).empty());
    const auto due = lanes.next_deadline(true);
    EXPECT_GE(due, now + 75ms);
    EXPECT_LE(due, now + 125ms);
    lanes.tick(due, decisions);
    EXPECT_EQ(lanes.take(due, decisions).messages.size(), 1u);
    EXPECT_TRUE(decisions.parks.empty());
}

TEST(Lanes, WhatComesOfALaneThatLeavesIsTheFeedsAgain) {
    auto o = options();
    o.park_after = 0ms;
    Lanes lanes{o, false, [](const auto&) { return std::string{}; }};
    Decisions decisions;
    const auto now = txm::relay::Clock::now();
    lanes.push(message("a", 1), false, now, decisions);
    Batch batch = lanes.take(now, decisions);
    txm::PublishBatch reports{batch.messages};
    reports.refuse(batch.messages[0], "no");
    lanes.finish(std::move(batch), reports, {}, now, decisions);
    ASSERT_EQ(decisions.parks.size(), 1u);
    auto again = message("a", 0);
    again.state = txm::MessageState::parked;  // sent again by an operator
    lanes.push(again, false, now, decisions);
    lanes.push(message("a", 2), false, now, decisions);
    lanes.parked("a", decisions);
    EXPECT_TRUE(lanes.take(now, decisions).empty());
    EXPECT_EQ(lanes.size(), 0u);
}

TEST(Lanes, OneLostMessageDoesNotBlameWhatWasLostWithItMoreThanTheyDeserve) {
    auto o = options();
    o.max_attempts = 1;
    Lanes lanes{o, false, [](const auto&) { return std::string{}; }};
    Decisions decisions;
    auto now = txm::relay::Clock::now();
    for (txm::Sequence s = 1; s <= 8; ++s)
        lanes.push(message("a" + std::to_string(s), s), false, now, decisions);
    // Message 1 cuts the connection, alone or not; the others are innocent.
    std::set<txm::Sequence> acknowledged;
    for (int round = 0; round < 100 && acknowledged.size() < 7; ++round) {
        now += 10s;
        lanes.tick(now, decisions);
        Batch batch = lanes.take(now, decisions);
        txm::PublishBatch reports{batch.messages};
        const bool is_cut =
            std::any_of(batch.messages.begin(), batch.messages.end(), [](const auto& m) { return m.sequence == 1; });
        if (!is_cut) {
            for (const auto& m : batch.messages) {
                acknowledged.insert(m.sequence);
                reports.acknowledge(m);
            }
        }
        if (!batch.empty())
            lanes.finish(std::move(batch), reports, is_cut ? "cut" : "", now, decisions);
    }
    for (const auto& outcome : decisions.outcomes) {
        if (outcome.sequence != 1) {
            EXPECT_EQ(outcome.settlement, txm::Settlement::dispatched) << outcome.sequence;
        }
    }
    EXPECT_EQ(acknowledged.size(), 7u);
}

// A model that knows only what each lane should do next, against random events.
class RandomWalk {
public:
    RandomWalk(unsigned seed, bool gapless)
        : random_(seed),
          gapless_(gapless),
          lanes_(limits(), gapless, [](const txm::StoredMessage& m) { return m.topic; }) {}

    void run() {
        for (int step = 0; step < 3000 && !testing::Test::HasFailure(); ++step) {
            now_ += std::chrono::milliseconds(below(30));
            switch (below(5)) {
                case 0: push(); break;
                case 1: send(); break;
                case 2: finish(); break;
                case 3: record(); break;
                default: lanes_.tick(now_, decisions_);
            }
            check();
        }
        is_kind_ = true;
        for (int step = 0; step < 5000 && !(lanes_.size() == 0 && flying_.empty()); ++step) {
            now_ += 100ms;
            lanes_.tick(now_, decisions_);
            send();
            finish();
            record();
            check();
        }
        EXPECT_EQ(lanes_.size(), 0u);
        EXPECT_EQ(lanes_.bytes(), 0u);
        EXPECT_EQ(lanes_.lane_count(), 0u);
        EXPECT_TRUE(done_.size() + given_back_ >= pushed_) << "messages are missing";
    }

private:
    static txm::RelayOptions limits() {
        auto o = options();
        o.max_attempts = 5;
        o.policy = txm::DeadLetterPolicy::skip;
        o.max_backoff = 2000ms;
        return o;
    }

    int below(int n) { return std::uniform_int_distribution<int>{0, n - 1}(random_); }

    void push() {
        const std::string aggregate = std::to_string(below(12));
        for (int i = below(4); i >= 0; --i) {
            if (blocked_.contains(aggregate) || lanes_.size() > 80)
                continue;  // a feed gives nothing of a blocked lane
            // An aggregate's messages may go to two destinations.
            auto m = message(aggregate, ++last_sequence_);
            m.topic = below(3) == 0 ? "u" : "t";
            waiting_[aggregate].push_back(m.sequence);
            ++pushed_;
            lanes_.push(std::move(m), false, now_, decisions_);
        }
    }

    void send() {
        Batch batch = lanes_.take(now_, decisions_);
        if (batch.empty())
            return;
        std::set<std::string> in_batch;
        for (const auto& m : batch.messages) {
            const std::string& aggregate = m.aggregate_id.str();
            EXPECT_FALSE(in_flight_.contains(aggregate)) << "two batches of lane " << aggregate;
            const bool is_second = !in_batch.insert(aggregate).second;
            EXPECT_TRUE(gapless_ || !is_second);
            EXPECT_EQ(m.topic, batch.destination->name);
            EXPECT_FALSE(blocked_.contains(aggregate)) << "a blocked lane was sent";
        }
        // In order, and from the first that is not done.
        for (const std::string& aggregate : in_batch) {
            auto expected = waiting_[aggregate].begin();
            for (const auto& m : batch.messages) {
                if (m.aggregate_id.str() == aggregate) {
                    EXPECT_EQ(m.sequence, *expected++);
                }
            }
        }
        in_flight_.merge(in_batch);
        flying_.push_back(std::move(batch));
    }

    void finish() {
        if (flying_.empty())
            return;
        std::swap(flying_.front(), flying_[static_cast<std::size_t>(below(static_cast<int>(flying_.size())))]);
        Batch batch = std::move(flying_.front());
        flying_.pop_front();
        txm::PublishBatch reports{batch.messages};
        std::set<std::string> closed;  // nothing is accepted after something of the same aggregate was not
        bool is_cut = false;
        for (const auto& m : batch.messages) {
            const std::string& aggregate = m.aggregate_id.str();
            in_flight_.erase(aggregate);
            const int dice = is_kind_ ? 0 : below(12);
            is_cut = is_cut || dice == 11;
            if (is_cut || closed.contains(aggregate)) {
                closed.insert(aggregate);
            } else if (dice < 9) {
                reports.acknowledge(m);
                std::erase(waiting_[aggregate], m.sequence);
                EXPECT_TRUE(done_.insert(m.sequence).second) << "acknowledged twice";
            } else {
                closed.insert(aggregate);
                if (dice == 9)
                    reports.refuse(m, "no");
            }
        }
        lanes_.finish(std::move(batch), reports, is_cut ? "cut" : "", now_, decisions_);
        block();
    }

    // What was decided takes effect in the lanes at once, in the store later.
    void block() {
        for (; seen_parks_ < decisions_.parks.size(); ++seen_parks_) {
            const auto& park = decisions_.parks[seen_parks_];
            const std::string& aggregate = park.aggregate_id.str();
            EXPECT_EQ(park.from, waiting_[aggregate].front());
            given_back_ += waiting_[aggregate].size();
            waiting_[aggregate].clear();
            blocked_.insert(aggregate);
        }
        for (; seen_outcomes_ < decisions_.outcomes.size(); ++seen_outcomes_) {
            const auto& outcome = decisions_.outcomes[seen_outcomes_];
            if (outcome.settlement == txm::Settlement::dispatched)
                continue;
            const std::string& aggregate = outcome.aggregate_id.str();
            EXPECT_EQ(outcome.sequence, waiting_[aggregate].front());
            std::erase(waiting_[aggregate], outcome.sequence);
            done_.insert(outcome.sequence);
            blocked_.insert(aggregate);
        }
    }

    void record() {
        block();
        for (const auto& outcome : std::exchange(decisions_.outcomes, {})) {
            if (outcome.settlement == txm::Settlement::dispatched)
                continue;
            blocked_.erase(outcome.aggregate_id.str());
            lanes_.settled(outcome, decisions_);
        }
        for (const auto& park : std::exchange(decisions_.parks, {})) {
            blocked_.erase(park.aggregate_id.str());
            lanes_.parked(park.aggregate_id, decisions_);
        }
        seen_outcomes_ = seen_parks_ = 0;
        block();
    }

    void check() {
        block();
        std::size_t waiting = 0;
        for (const auto& [aggregate, sequences] : waiting_)
            waiting += sequences.size();
        EXPECT_EQ(lanes_.size(), waiting + blocked_.size());
    }

    std::mt19937 random_;
    bool gapless_;
    Lanes lanes_;
    Decisions decisions_;
    txm::relay::TimePoint now_ = txm::relay::Clock::now();
    std::deque<Batch> flying_;
    std::map<std::string, std::deque<txm::Sequence>> waiting_;  // of each lane, what is in memory and not done
    std::set<std::string> in_flight_, blocked_;
    std::set<txm::Sequence> done_;
    std::size_t pushed_ = 0, given_back_ = 0, seen_parks_ = 0, seen_outcomes_ = 0;
    txm::Sequence last_sequence_ = 0;
    bool is_kind_ = false;
};

TEST(Lanes, KeepTheirRulesWhateverHappens) {
    for (unsigned seed = 0; seed < 60; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        RandomWalk{seed, false}.run();
        RandomWalk{seed, true}.run();
        if (HasFailure())
            return;
    }
}

}  // namespace
