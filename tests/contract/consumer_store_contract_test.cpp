#include "contract/store_contract.hpp"
#include "txm/error.hpp"
#include "txm/sync_wait.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

const Timestamp never = now() + 24h;

class Keeper : public testing::TestWithParam<StoreKind> {
protected:
    static Delivery delivery(const std::string& aggregate_id, Sequence sequence, const std::string& topic = "orders") {
        Delivery delivery;
        delivery.message = message_of(aggregate_id, aggregate_id + std::to_string(sequence), topic);
        delivery.message.headers = {{"tenant", "acme"}};
        delivery.message.sequence = sequence;
        delivery.message.created_at = now();
        delivery.message.stored_at = now();
        delivery.partition = 2;
        delivery.position = 40 + sequence;
        return delivery;
    }
    static Incoming incoming(const Delivery& delivery) {
        return {delivery.message.message_id, "billing", delivery.message.stored_at,
                payload_hash(delivery.message.payload), delivery.replay};
    }
    void park(const std::vector<Delivery>& deliveries, Timestamp next_attempt) {
        sync_wait(keeper_->park(deliveries, next_attempt, "the bank does not answer"));
    }
    std::vector<std::string> take(std::size_t max = 10) {
        std::vector<std::string> payloads;
        for (const Delivery& taken : sync_wait(keeper_->take_parked(max)))
            payloads.push_back(taken.message.payload);
        return payloads;
    }
    bool is_parked(const Delivery& delivery) {
        const std::vector<Delivery> one{delivery};
        return sync_wait(keeper_->is_parked(one)).at(0);
    }
    void bury(const Delivery& delivery, bool hold) {
        sync_wait(keeper_->dead_letter(incoming(delivery), delivery, "unknown customer", hold));
    }
    std::vector<ListedDelivery> list(const std::string& state) {
        std::vector<ListedDelivery> all;
        sync_wait(store_->admin()->list_inbox("billing", state, {}, [&](const ListedDelivery& listed) {
            all.push_back(listed);
            return true;
        }));
        return all;
    }

    std::unique_ptr<Store> store_ = GetParam().make();
    std::unique_ptr<ConsumerStore> keeper_ = store_->consumer_store("billing");
};

INSTANTIATE_TEST_SUITE_P(Stores, Keeper, testing::ValuesIn(store_kinds()), testing::PrintToStringParamName());

TEST_P(Keeper, keeps_a_delivery_whole) {
    Delivery kept = delivery("a", 1);
    kept.attempt = 4;
    kept.message.replays = 2;
    park({kept}, now());
    const auto taken = sync_wait(keeper_->take_parked(10));
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(taken[0].message, kept.message);
    EXPECT_EQ(taken[0].attempt, 4);
    EXPECT_EQ(taken[0].partition, 2);
    EXPECT_EQ(taken[0].position, 41);
    EXPECT_FALSE(taken[0].replay);
}

TEST_P(Keeper, a_lane_is_one_aggregate_of_one_topic_for_one_consumer) {
    park({delivery("a", 1)}, never);
    EXPECT_TRUE(is_parked(delivery("a", 2)));
    EXPECT_FALSE(is_parked(delivery("b", 2)));
    EXPECT_FALSE(is_parked(delivery("a", 2, "credit")));
    const auto other = store_->consumer_store("shipping");
    const std::vector<Delivery> one{delivery("a", 2)};
    EXPECT_THAT(sync_wait(other->is_parked(one)), ElementsAre(false));
}

TEST_P(Keeper, gives_parked_deliveries_in_lane_order_when_they_are_due) {
    const Delivery first = delivery("a", 1), second = delivery("a", 2);
    park({first}, never);
    park({second}, now());  // it waits behind the first, whatever its own time
    EXPECT_THAT(take(), IsEmpty());
    park({first}, now());
    EXPECT_THAT(take(), ElementsAre("a1"));
    EXPECT_THAT(take(), ElementsAre("a1"));  // it stays parked until it is done
    sync_wait(keeper_->unpark(first));
    EXPECT_THAT(take(), ElementsAre("a2"));
    EXPECT_TRUE(is_parked(second));
    sync_wait(keeper_->unpark(second));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_FALSE(is_parked(second));
}

TEST_P(Keeper, orders_by_position_when_there_is_no_sequence) {
    Delivery first = delivery("a", 1), second = delivery("a", 2);
    first.message.sequence = second.message.sequence = 0;
    park({second, first}, now());
    EXPECT_THAT(take(), ElementsAre("a1"));
}

TEST_P(Keeper, a_dead_letter_is_decided_once) {
    const Delivery letter = delivery("a", 1);
    bury(letter, false);
    EXPECT_THROW(store_->process(incoming(letter)), MessageAlreadyProcessedError);
    const auto dead = list("dead");
    ASSERT_EQ(dead.size(), 1U);
    EXPECT_EQ(dead[0].reason, "unknown customer");
    EXPECT_EQ(dead[0].message->payload, "a1");
    EXPECT_FALSE(dead[0].held);
    bury(letter, false);  // delivered again, because the acknowledgement was lost
    EXPECT_EQ(list("dead").size(), 1U);
}

TEST_P(Keeper, dead_letter_races_success) {
    const Delivery done = delivery("a", 1);
    park({done}, now());
    store_->process(incoming(done));
    EXPECT_THROW(bury(done, true), MessageAlreadyProcessedError);
    EXPECT_THAT(list("dead"), IsEmpty());
    EXPECT_EQ(list("processed").size(), 1U);
}

TEST_P(Keeper, a_held_lane_waits_for_an_operator) {
    const Delivery letter = delivery("a", 1), behind = delivery("a", 2);
    bury(letter, true);
    EXPECT_TRUE(is_parked(behind));
    park({behind}, now());
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_TRUE(list("dead").at(0).held);
    const InboxStatus waiting = sync_wait(store_->admin()->inbox_status("billing"));
    EXPECT_EQ(waiting.dead, 1U);
    EXPECT_EQ(waiting.parked, 1U);
    EXPECT_EQ(sync_wait(store_->admin()->inbox_status("shipping")).parked, 0U);

    MessageFilter filter;
    filter.ids = {letter.message.message_id};
    EXPECT_EQ(sync_wait(store_->admin()->skip_inbox("billing", filter)), 1U);
    EXPECT_THAT(take(), ElementsAre("a2"));
    EXPECT_THAT(list("dead"), IsEmpty());
    EXPECT_EQ(list("skipped").size(), 1U);
    EXPECT_THROW(store_->process(incoming(letter)), MessageAlreadyProcessedError);
}

TEST_P(Keeper, a_replayed_dead_letter_takes_effect_before_what_waits_behind_it) {
    const Delivery letter = delivery("a", 1), behind = delivery("a", 2);
    bury(letter, true);
    park({behind}, now());
    EXPECT_EQ(sync_wait(store_->admin()->replay_inbox("billing", {})), 2U);
    const auto taken = sync_wait(keeper_->take_parked(10));
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(taken[0].message.payload, "a1");
    EXPECT_TRUE(taken[0].replay);
    store_->process(incoming(taken[0]));
    sync_wait(keeper_->unpark(taken[0]));
    EXPECT_THAT(list("dead"), IsEmpty());
    EXPECT_EQ(list("processed").size(), 1U);
    EXPECT_THAT(take(), ElementsAre("a2"));
}

TEST_P(Keeper, a_replayed_dead_letter_can_die_again) {
    bury(delivery("a", 1), true);
    sync_wait(store_->admin()->replay_inbox("billing", {}));
    const auto taken = sync_wait(keeper_->take_parked(10));
    bury(taken.at(0), true);
    EXPECT_EQ(list("dead").size(), 1U);
    EXPECT_THAT(list("parked"), IsEmpty());
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_TRUE(is_parked(delivery("a", 2)));
}

// A process that was frozen meanwhile, or that did not get an answer, is done with what it knew: not with the replay.
TEST_P(Keeper, what_an_operator_sent_again_is_not_lost_to_one_who_is_late) {
    const Delivery letter = delivery("a", 1);
    park({letter}, now());
    const auto known_before = sync_wait(keeper_->take_parked(1));
    bury(letter, true);
    sync_wait(store_->admin()->replay_inbox("billing", {}));
    bury(letter, true);
    ASSERT_THAT(take(), ElementsAre("a1"));
    sync_wait(keeper_->unpark(known_before.at(0)));
    ASSERT_THAT(take(), ElementsAre("a1"));
    park(known_before, now());
    const auto again = sync_wait(keeper_->take_parked(1));
    ASSERT_EQ(again.size(), 1U);
    EXPECT_TRUE(again[0].replay);
    store_->process(incoming(again[0]));
    sync_wait(keeper_->unpark(again[0]));
    EXPECT_THAT(take(), IsEmpty());
    EXPECT_EQ(list("processed").size(), 1U);
}

// The outbox's operator sends it again while the consumer's own dead letter of it holds the lane.
TEST_P(Keeper, a_replay_that_meets_what_is_kept_of_it_stays_a_replay) {
    Delivery letter = delivery("a", 1);
    bury(letter, false);
    park({letter}, now());  // delivered again because the acknowledgement was lost
    letter.replay = true;
    letter.message.replays = 1;
    park({letter}, now());
    const auto taken = sync_wait(keeper_->take_parked(1));
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_TRUE(taken[0].replay);
    EXPECT_NO_THROW(store_->process(incoming(taken[0])));
}

TEST_P(Keeper, a_lane_held_by_two_dead_letters_waits_for_both) {
    const Delivery first = delivery("a", 1), second = delivery("a", 2), third = delivery("a", 3);
    bury(first, true);
    park({third}, now());
    bury(second, true);
    MessageFilter filter;
    filter.ids = {second.message.message_id};
    sync_wait(store_->admin()->skip_inbox("billing", filter));
    EXPECT_THAT(take(), IsEmpty());
    filter.ids = {first.message.message_id};
    sync_wait(store_->admin()->skip_inbox("billing", filter));
    EXPECT_THAT(take(), ElementsAre("a3"));
}

TEST_P(Keeper, offset_reset_beyond_retention_refused) {
    if (!GetParam().purges_inbox)
        GTEST_SKIP() << GetParam().name << " declares: it forgets by itself";
    EXPECT_EQ(sync_wait(keeper_->purged_to()), Timestamp{});
    std::vector<Delivery> old;
    for (int i = 1; i <= 5; ++i) {
        old.push_back(delivery("a", i));
        old.back().message.stored_at = now() - std::chrono::hours{100 - i};
        store_->process(incoming(old.back()));
    }
    store_->age_inbox(90h);
    const Delivery young = delivery("a", 9);
    store_->process(incoming(young));
    EXPECT_EQ(sync_wait(keeper_->purge_inbox(24h, 3)), 3U);
    EXPECT_EQ(sync_wait(keeper_->purged_to()), old[2].message.stored_at);
    EXPECT_EQ(sync_wait(keeper_->purge_inbox(24h, 3)), 2U);
    EXPECT_EQ(sync_wait(keeper_->purge_inbox(24h, 3)), 0U);
    EXPECT_EQ(sync_wait(keeper_->purged_to()), old[4].message.stored_at);
    EXPECT_EQ(list("processed").size(), 1U);

    // All are delivered again: the forgotten ones are refused, not applied twice.
    EXPECT_THROW(store_->process(incoming(old[0])), OutsideInboxWindowError);
    EXPECT_THROW(store_->process(incoming(old[4])), OutsideInboxWindowError);
    Delivery replay = old[1];  // its sender's operator cannot know who has applied it
    replay.replay = true;
    EXPECT_THROW(store_->process(incoming(replay)), OutsideInboxWindowError);
    EXPECT_THROW(store_->process(incoming(young)), MessageAlreadyProcessedError);
    Delivery newer = delivery("a", 8);
    newer.message.stored_at = old[4].message.stored_at + 1us;
    EXPECT_NO_THROW(store_->process(incoming(newer)));
}

// After a long outage, or from the start of a topic: neighbours that are handled a little later are no strangers.
TEST_P(Keeper, one_who_reads_old_messages_refuses_none_of_them) {
    if (!GetParam().purges_inbox)
        GTEST_SKIP() << GetParam().name << " declares: it forgets by itself";
    Delivery slow = delivery("a", 1), quick = delivery("b", 2);
    slow.message.stored_at = now() - 100h;
    quick.message.stored_at = now() - 99h;
    store_->process(incoming(quick));
    EXPECT_EQ(sync_wait(keeper_->purge_inbox(24h, 10)), 0U);
    EXPECT_NO_THROW(store_->process(incoming(slow)));
}

TEST_P(Keeper, a_dead_letter_is_not_forgotten) {
    if (!GetParam().purges_inbox)
        GTEST_SKIP() << GetParam().name << " declares: it forgets by itself";
    Delivery letter = delivery("a", 1);
    letter.message.stored_at = now() - 100h;
    bury(letter, false);
    store_->age_inbox(90h);
    EXPECT_EQ(sync_wait(keeper_->purge_inbox(24h, 10)), 0U);
    EXPECT_EQ(list("dead").size(), 1U);
}

TEST_P(Keeper, a_lease_has_one_holder) {
    const auto other = store_->consumer_store("billing");
    const auto another_consumer = store_->consumer_store("shipping");
    EXPECT_TRUE(sync_wait(keeper_->lease("parked")));
    EXPECT_TRUE(sync_wait(keeper_->lease("parked")));
    EXPECT_FALSE(sync_wait(other->lease("parked")));
    EXPECT_TRUE(sync_wait(other->lease("purge")));
    EXPECT_TRUE(sync_wait(another_consumer->lease("parked")));
    sync_wait(keeper_->release());
    EXPECT_TRUE(sync_wait(other->lease("parked")));
}

TEST_P(Keeper, counts_attempts_that_began_and_did_not_end) {
    const Delivery one = delivery("a", 1), other = delivery("b", 2);
    const auto begin = [&](const Delivery& which, bool is_alone) {
        return sync_wait(keeper_->begin_attempt(which, is_alone));
    };
    EXPECT_EQ(begin(one, false), 0);
    EXPECT_EQ(begin(one, false), 1);
    EXPECT_EQ(begin(one, false), 1) << "a suspect counts alone only";
    EXPECT_EQ(begin(one, true), 1);
    EXPECT_EQ(begin(one, true), 2);
    EXPECT_EQ(begin(other, false), 0) << "each message by itself";
    const auto another = store_->consumer_store("shipping");
    EXPECT_EQ(sync_wait(another->begin_attempt(one, false)), 0) << "each consumer by itself";

    sync_wait(keeper_->end_attempt(one));
    sync_wait(keeper_->end_attempt(one));
    EXPECT_EQ(begin(one, false), 0);
    bury(one, true);
    EXPECT_EQ(begin(one, false), 0) << "a dead letter begins anew when it is sent again";
    EXPECT_EQ(begin(other, false), 1);
}

}  // namespace
}  // namespace txm::test
