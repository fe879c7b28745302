#include "fault/checker.hpp"

#include <gtest/gtest.h>

namespace {

using namespace txm::fault_test;

History sound() {
    History h;
    h.commits = {{"1", "a"}, {"2", "b"}, {"3", "a"}, {"4", "b"}};
    h.acknowledgements = {{"2", "b"}, {"1", "a"}, {"2", "b"},
                          {"3", "a"}, {"1", "a"}, {"4", "b"}};  // duplicates are allowed
    h.effects = {{"1", "a"}, {"3", "a"}, {"2", "b"}, {"4", "b"}};
    h.confirmed = {"1", "4"};
    h.ended = true;
    return h;
}

TEST(Checker, FindsNothingInASoundHistory) {
    EXPECT_TRUE(check(sound()).is_clean()) << check(sound()).to_string();
}

TEST(Checker, FindsWhatNeverArrived) {
    auto h = sound();
    h.effects.pop_back();
    EXPECT_EQ(check(h).loss.size(), 1u);
    h.ended = false;
    EXPECT_TRUE(check(h).is_clean()) << "it may still come";
}

TEST(Checker, FindsAConfirmedCommitThatIsGone) {
    auto h = sound();
    h.confirmed.insert("5");
    EXPECT_EQ(check(h).loss.size(), 1u);
}

TEST(Checker, FindsGhosts) {
    auto h = sound();
    h.acknowledgements.push_back({"9", "a"});
    EXPECT_EQ(check(h).ghost.size(), 1u);
    h = sound();
    h.refused = {"3"};
    EXPECT_EQ(check(h).ghost.size(), 1u);
}

TEST(Checker, FindsInversionsOfFirstAcknowledgementsAndOfEffects) {
    auto h = sound();
    std::swap(h.acknowledgements[1], h.acknowledgements[3]);
    EXPECT_EQ(check(h).inversion.size(), 1u);
    h = sound();
    std::swap(h.effects[0], h.effects[1]);
    EXPECT_EQ(check(h).inversion.size(), 1u);
}

TEST(Checker, FindsAnEffectWhosePredecessorHasNone) {
    auto h = sound();
    h.ended = false;
    h.effects = {{"3", "a"}};
    EXPECT_EQ(check(h).inversion.size(), 1u);
    h.dead = {"1"};
    EXPECT_TRUE(check(h).is_clean()) << "a dead letter may be passed over";
}

TEST(Checker, FindsDoubleEffects) {
    auto h = sound();
    h.effects.push_back({"4", "b"});
    EXPECT_EQ(check(h).double_effect.size(), 1u);
}

TEST(Checker, JudgesEverySinkLikeABroker) {
    auto h = sound();
    h.sinks = {h.acknowledgements};
    EXPECT_TRUE(check(h).is_clean()) << check(h).to_string();
    std::swap(h.sinks[0][1], h.sinks[0][3]);
    h.sinks[0].pop_back();
    EXPECT_EQ(check(h).inversion.size(), 1u);
    EXPECT_EQ(check(h).loss.size(), 1u);
}

TEST(Checker, ABlockedAggregateExcusesItselfAndNobodyElse) {
    auto h = sound();
    h.dead = {"1"};
    h.excused = {"a"};
    h.effects = {{"2", "b"}, {"4", "b"}};
    EXPECT_TRUE(check(h).is_clean()) << check(h).to_string();
    h.effects.pop_back();
    EXPECT_EQ(check(h).stuck_neighbour.size(), 1u);
}

}  // namespace
