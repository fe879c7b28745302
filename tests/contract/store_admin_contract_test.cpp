#include "contract/feed_reader.hpp"
#include "contract/store_contract.hpp"
#include "txm/error.hpp"

#include <thread>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Timestamp never = now() + 24h;

class Operator : public testing::TestWithParam<StoreKind> {
protected:
    StoredMessage publish(const std::string& aggregate_id, const std::string& payload,
                          const std::string& topic = "orders") {
        return store_->publish({message_of(aggregate_id, payload, topic)}).front();
    }
    std::vector<ListedMessage> list(MessageFilter filter = {}) {
        std::vector<ListedMessage> all;
        sync_wait(admin_->list(std::move(filter), [&](const ListedMessage& listed) {
            all.push_back(listed);
            return true;
        }));
        return all;
    }
    std::vector<std::string> listed(MessageFilter filter = {}) {
        std::vector<std::string> texts;
        for (const ListedMessage& one : list(std::move(filter)))
            texts.push_back(one.message.payload);
        return texts;
    }
    static MessageFilter in_state(MessageState state) {
        MessageFilter filter;
        filter.state = state;
        return filter;
    }
    static MessageFilter of(const StoredMessage& message) {
        MessageFilter filter;
        filter.ids = {message.message_id};
        return filter;
    }

    std::unique_ptr<Store> store_ = GetParam().make();
    std::unique_ptr<Admin> admin_ = store_->admin();
    std::unique_ptr<OutboxFeed> feed_ = store_->feed();
    FeedReader relay_{*feed_};
};

INSTANTIATE_TEST_SUITE_P(Stores, Operator, testing::ValuesIn(store_kinds()), testing::PrintToStringParamName());

TEST_P(Operator, lists_what_a_filter_selects) {
    const StoredMessage first = publish("a", "1");
    publish("b", "2", "credit");
    publish("a", "3");
    relay_.acquire();
    const auto messages = relay_.read();
    relay_.settle({messages.at(0)});
    relay_.park(messages.at(1), 3, never, "queue is full");
    relay_.settle({messages.at(2)}, Settlement::held, "too large");

    EXPECT_THAT(listed(), ElementsAre("1", "2", "3"));
    EXPECT_THAT(listed(in_state(MessageState::dispatched)), ElementsAre("1"));
    EXPECT_THAT(listed(in_state(MessageState::pending)), IsEmpty());
    const auto parked = list(in_state(MessageState::parked));
    ASSERT_EQ(parked.size(), 1U);
    EXPECT_EQ(parked[0].reason, "queue is full");
    EXPECT_EQ(parked[0].next_attempt_at, never);
    EXPECT_FALSE(parked[0].held);
    const auto dead = list(in_state(MessageState::dead));
    ASSERT_EQ(dead.size(), 1U);
    EXPECT_EQ(dead[0].reason, "too large");
    EXPECT_TRUE(dead[0].held);

    MessageFilter filter;
    filter.topic = "credit";
    EXPECT_THAT(listed(filter), ElementsAre("2"));
    filter = {};
    filter.aggregate_id = "a";
    EXPECT_THAT(listed(filter), ElementsAre("1", "3"));
    filter.limit = 1;
    EXPECT_THAT(listed(filter), ElementsAre("1"));
    filter = {};
    filter.correlation_id = first.correlation_id;
    EXPECT_THAT(listed(filter), ElementsAre("1"));
    filter = {};
    filter.before = first.stored_at;
    EXPECT_THAT(listed(filter), IsEmpty());
    filter = of(first);
    filter.state = MessageState::dead;
    EXPECT_THAT(listed(filter), IsEmpty());
}

TEST_P(Operator, a_list_ends_when_it_is_told_to) {
    publish("a", "1");
    publish("a", "2");
    int seen = 0;
    sync_wait(admin_->list({}, [&](const ListedMessage&) { return ++seen < 1; }));
    EXPECT_EQ(seen, 1);
}

TEST_P(Operator, works_on_any_number_of_messages) {
    std::vector<StoredMessage> many;
    for (int i = 0; i < 1203; ++i)
        many.push_back(message_of("a" + std::to_string(i % 7), std::to_string(i)));
    store_->publish(many);
    relay_.acquire();
    for (std::size_t settled = 0; settled < many.size();) {
        const auto some = relay_.read(5000);
        relay_.settle(some);
        settled += some.size();
    }
    EXPECT_EQ(list().size(), 1203U);
    std::vector<std::size_t> progress;
    EXPECT_EQ(sync_wait(admin_->replay({}, [&](std::size_t done) { progress.push_back(done); })), 1203U);
    EXPECT_EQ(progress.back(), 1203U);
    EXPECT_EQ(list(in_state(MessageState::parked)).size(), 1203U);
    // Every lane comes back in its order.
    std::map<std::string, int> last;
    std::size_t come = 0;
    while (come < 1203) {
        const auto some = relay_.read(5000);
        for (const StoredMessage& message : some) {
            const int number = std::stoi(message.payload);
            const auto [lane, is_first] = last.try_emplace(message.aggregate_id.str(), -1);
            EXPECT_LT(lane->second, number);
            lane->second = number;
        }
        come += some.size();
        relay_.settle(some);
    }
    EXPECT_TRUE(relay_.is_drained());
}

TEST_P(Operator, replay_keeps_lane_order) {
    relay_.acquire();
    publish("a", "1");
    publish("a", "2");
    publish("a", "3");
    const auto messages = relay_.read();
    relay_.settle({messages.at(0)}, Settlement::held, "refused");
    EXPECT_EQ(sync_wait(admin_->replay(of(messages.at(0)), {})), 1U);
    EXPECT_THAT(payloads(relay_.read_until("3")), ElementsAre("1", "2", "3"));
    EXPECT_EQ(store_->message(messages.at(0).message_id)->replays, 1);
    EXPECT_THAT(list(in_state(MessageState::dead)), IsEmpty());
}

TEST_P(Operator, replay_leaves_pending_messages_alone) {
    publish("a", "1");
    EXPECT_EQ(sync_wait(admin_->replay({}, {})), 0U);
    EXPECT_THAT(listed(in_state(MessageState::pending)), ElementsAre("1"));
}

TEST_P(Operator, replay_makes_a_parked_lane_due) {
    relay_.acquire();
    const StoredMessage message = publish("a", "1");
    relay_.park(relay_.read().at(0), 8, never);
    EXPECT_EQ(sync_wait(admin_->replay(of(message), {})), 1U);
    const auto again = relay_.read();
    ASSERT_THAT(payloads(again), ElementsAre("1"));
    EXPECT_EQ(again.at(0).attempts, 0);
    EXPECT_EQ(again.at(0).replays, 0);  // no broker has it: nothing would take it for a duplicate
}

TEST_P(Operator, replaying_another_message_does_not_free_a_held_lane) {
    relay_.acquire();
    for (const char* payload : {"1", "2", "3"})
        publish("a", payload);
    const auto messages = relay_.read();
    relay_.settle({messages.at(0)});
    relay_.settle({messages.at(1)}, Settlement::held, "refused");
    sync_wait(admin_->replay(of(messages.at(0)), {}));
    publish("b", "4");
    EXPECT_THAT(payloads(relay_.read_until("4")), ElementsAre("4"));
    sync_wait(admin_->skip(of(messages.at(1)), {}));
    EXPECT_THAT(payloads(relay_.read_until("3")), ElementsAre("1", "3"));
}

TEST_P(Operator, skip_gives_up_a_parked_message) {
    relay_.acquire();
    const StoredMessage message = publish("a", "1");
    publish("a", "2");
    relay_.park(relay_.read().at(0), 3, never);
    EXPECT_EQ(sync_wait(admin_->skip(of(message), {})), 1U);
    EXPECT_THAT(payloads(relay_.read()), ElementsAre("2"));
    EXPECT_EQ(list(in_state(MessageState::dead)).at(0).reason, "skipped by an operator");
    EXPECT_EQ(sync_wait(admin_->skip(of(message), {})), 0U);
    EXPECT_EQ(sync_wait(admin_->status()).dead, 0U);
}

TEST_P(Operator, a_message_skipped_on_its_way_and_acknowledged_is_dispatched) {
    relay_.acquire();
    const StoredMessage message = publish("a", "1");
    relay_.park(relay_.read().at(0), 1, now());
    const auto again = relay_.read();
    sync_wait(admin_->skip(of(message), {}));
    relay_.settle(again);
    EXPECT_EQ(store_->message(message.message_id)->state, MessageState::dispatched);
    EXPECT_THAT(list(in_state(MessageState::dead)), IsEmpty());
}

TEST_P(Operator, purge_deletes_what_is_dispatched_and_old_enough) {
    relay_.acquire();
    for (const char* payload : {"1", "2", "3", "4"}) {
        publish("a", payload);
        // The next one is stored at a later time, also by a store that counts milliseconds.
        for (const auto published = now(); now() < published + 2ms;)
            std::this_thread::yield();
    }
    const auto messages = relay_.read();
    relay_.settle({messages.at(0), messages.at(1)});
    relay_.park(messages.at(2), 1, never);
    MessageFilter filter;
    filter.before = messages.at(1).stored_at;
    EXPECT_EQ(sync_wait(admin_->purge(filter, {})), 1U);
    EXPECT_THAT(listed(), ElementsAre("2", "3", "4"));
    filter.before = now() + 1h;
    EXPECT_EQ(sync_wait(admin_->purge(filter, {})), 1U);
    EXPECT_THAT(listed(), ElementsAre("3", "4"));
    filter.state = MessageState::parked;
    EXPECT_THROW(sync_wait(admin_->purge(filter, {})), Error);
    EXPECT_THROW(sync_wait(admin_->purge({}, {})), Error);
}

TEST_P(Operator, purge_keeps_a_dead_letter_that_holds_its_lane) {
    relay_.acquire();
    publish("a", "1");
    publish("b", "2");
    const auto messages = relay_.read();
    relay_.settle({messages.at(0)}, Settlement::held, "refused");
    relay_.settle({messages.at(1)}, Settlement::dead, "refused");
    MessageFilter filter = in_state(MessageState::dead);
    filter.before = now() + 1h;
    EXPECT_EQ(sync_wait(admin_->purge(filter, {})), 1U);
    EXPECT_THAT(listed(), ElementsAre("1"));
}

TEST_P(Operator, status_counts_and_warns) {
    StoreStatus status = sync_wait(admin_->status());
    EXPECT_THAT(status.warnings, IsEmpty());
    EXPECT_FALSE(status.oldest_pending_age);

    const Fence fence = relay_.acquire();
    for (const char* lane : {"a", "b", "c", "d"})
        publish(lane, lane);
    const auto messages = relay_.read();
    relay_.park(messages.at(0), 1, never);
    relay_.settle({messages.at(1)}, Settlement::held, "refused");
    relay_.settle({messages.at(2)}, Settlement::dead, "refused");
    store_->process(Incoming{new_uuid(), "billing"});
    status = sync_wait(admin_->status());
    EXPECT_EQ(status.pending, 1U);
    EXPECT_EQ(status.parked, 1U);
    EXPECT_EQ(status.dead, 2U);
    EXPECT_EQ(status.lanes_blocked, 2U);
    EXPECT_EQ(status.lanes_held, 1U);
    EXPECT_TRUE(status.oldest_pending_age);
    ASSERT_EQ(status.leases.size(), 1U);
    EXPECT_TRUE(status.leases[0].is_held);
    EXPECT_EQ(status.leases[0].fence, fence.value);
    ASSERT_EQ(status.inboxes.size(), 1U);
    EXPECT_EQ(status.inboxes[0].consumer, "billing");
    EXPECT_EQ(status.inboxes[0].processed, 1U);
    EXPECT_THAT(status.warnings, testing::Contains(HasSubstr("dead letters")));
    EXPECT_THAT(status.warnings, testing::Contains(HasSubstr("txm messages replay")));

    feed_.reset();
    EXPECT_FALSE(sync_wait(admin_->status()).leases.at(0).is_held);

    // Freed, its lane has nothing that waits, although no relay has come by since.
    MessageFilter held;
    held.ids = {messages.at(1).message_id};
    EXPECT_EQ(sync_wait(admin_->skip(held, {})), 1U);
    status = sync_wait(admin_->status());
    EXPECT_EQ(status.lanes_blocked, 1U);
    EXPECT_EQ(status.lanes_held, 0U);
}

}  // namespace
}  // namespace txm::test
