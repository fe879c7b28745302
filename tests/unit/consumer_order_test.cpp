#include "support/consumer_bench.hpp"

#include <gtest/gtest.h>

#include <random>

namespace txm::test {
namespace {

// Everything may fail at every step, before it was done or after, the broker delivers again, and the consumer is stopped
// and killed: whatever happens, each message takes effect once, in the order of its aggregate, or is a dead letter once.
class ConsumerOrderTest : public testing::TestWithParam<unsigned>, public ConsumerBench {
protected:
    static constexpr Sequence messages = 120;
    static constexpr Sequence aggregates = 9;

    bool is_chance(unsigned one_in) { return random_() % one_in == 0; }

    void disturb(const std::string&) {
        if (!is_wild || !is_chance(23))
            return;
        switch (random_() % 4) {
            case 0: throw Error(Errc::store_unavailable, "database is locked");
            case 1: throw CommitOutcomeUnknown("the answer was lost");
            case 2: throw Error(Errc::broker_unavailable, "connection reset");
            default: topic.redeliver(); break;
        }
    }

    static std::string aggregate_of(Sequence n) { return "customer-" + std::to_string(n % aggregates); }
    static bool is_poison(Sequence n) { return n % 31 == 0; }

    std::minstd_rand random_;
    bool is_wild = true;
};

TEST_P(ConsumerOrderTest, one_effect_each_in_order_under_any_failures) {
    random_.seed(GetParam() + 1);
    options.max_in_flight = 1 + GetParam() % 6;
    options.max_attempts = 1'000;
    options.policy = GetParam() % 2 ? DeadLetterPolicy::hold : DeadLetterPolicy::skip;
    options.park_after = std::chrono::milliseconds(GetParam() % 3);
    options.backoff = options.max_backoff = std::chrono::milliseconds(1);
    for (Sequence n = 1; n <= messages; ++n)
        push(aggregate_of(n), n);
    topic.hook = store.hook = [this](const std::string& step) { disturb(step); };
    before = [this](const Delivery& delivery) {
        if (is_poison(number(delivery)))
            throw Rejected("poison");
        if (is_wild && is_chance(9))
            throw std::runtime_error("not yet");
        if (is_wild && is_chance(150)) {
            runner->stop();
            if (is_chance(2))
                runner->stop();
        }
        disturb("before");
    };
    after = [this](const Delivery&) { disturb("after"); };
    for (int round = 0; round < 15; ++round) {
        topic.reopen();
        store.make_all_due();
        run();
    }
    is_wild = false;
    for (int round = 0; round < 3; ++round) {
        topic.reopen();
        store.make_all_due();
        run();
    }

    EXPECT_TRUE(topic.is_empty());
    EXPECT_FALSE(two_of_a_lane_at_once);
    std::map<std::string, bool> is_held;
    std::map<std::string, std::vector<Sequence>> expected;
    for (Sequence n = 1; n <= messages; ++n) {
        auto& held = is_held[aggregate_of(n)];
        if (is_poison(n) && !held) {
            EXPECT_TRUE(store.dead.contains(message("", n).message_id)) << n;
            held = options.policy == DeadLetterPolicy::hold;
        } else if (!held) {
            expected[aggregate_of(n)].push_back(n);
        }
    }
    for (const auto& [aggregate, order] : expected)
        EXPECT_EQ(effects_of(aggregate), order) << aggregate;
}

INSTANTIATE_TEST_SUITE_P(seeds, ConsumerOrderTest, testing::Range(0u, 60u));

}  // namespace
}  // namespace txm::test
