#include "contract/feed_reader.hpp"
#include "contract/store_contract.hpp"
#include "txm/error.hpp"

#include <boost/system/system_error.hpp>

#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

const Timestamp never = now() + 24h;

class Feed : public testing::TestWithParam<StoreKind> {
protected:
    StoredMessage publish(const std::string& aggregate_id, const std::string& payload) {
        return store_->publish({message_of(aggregate_id, payload)}).front();
    }

    std::unique_ptr<Store> store_ = GetParam().make();
    std::unique_ptr<OutboxFeed> feed_ = store_->feed();
    FeedReader relay_{*feed_};
};

INSTANTIATE_TEST_SUITE_P(Stores, Feed, testing::ValuesIn(store_kinds()), testing::PrintToStringParamName());

TEST_P(Feed, gives_messages_whole_in_commit_order_and_once) {
    std::vector<StoredMessage> published = store_->publish({message_of("a", "1"), message_of("b", "2")});
    published.push_back(publish("a", "3"));
    relay_.acquire();
    EXPECT_EQ(relay_.read(), published);
    publish("a", "4");
    EXPECT_THAT(payloads(relay_.read()), ElementsAre("4"));
}

TEST_P(Feed, gives_no_more_than_asked_for) {
    relay_.acquire();
    for (const char* payload : {"1111", "2222", "3333", "4444"})
        publish("a", payload);
    EXPECT_THAT(payloads(relay_.read(1)), ElementsAre("1111"));
    EXPECT_THAT(payloads(relay_.read(10, 8)), ElementsAre("2222", "3333"));
    // One message always fits.
    EXPECT_THAT(payloads(relay_.read(10, 1)), ElementsAre("4444"));
}

TEST_P(Feed, waits_for_the_next_message) {
    relay_.acquire();
    auto messages = std::async(std::launch::async, [&] { return relay_.read(); });
    publish("a", "1");
    EXPECT_THAT(payloads(messages.get()), ElementsAre("1"));
}

TEST_P(Feed, interrupt_ends_a_wait) {
    relay_.acquire();
    auto messages = std::async(std::launch::async, [&] { return relay_.read(); });
    feed_->interrupt();
    EXPECT_THAT(messages.get(), IsEmpty());

    if (!GetParam().has_one_active_relay)
        return;
    const auto standby = store_->feed();
    auto fence = std::async(std::launch::async, [&] { return FeedReader{*standby}.acquire(); });
    standby->interrupt();
    EXPECT_THROW(fence.get(), boost::system::system_error);
}

TEST_P(Feed, what_is_not_settled_comes_again_to_the_next_owner) {
    publish("a", "1");
    publish("a", "2");
    EXPECT_TRUE(relay_.acquire().clean_start);
    const auto messages = relay_.read();
    relay_.settle({messages.at(0)});
    relay_.release();

    const auto next = store_->feed();
    FeedReader relay{*next};
    EXPECT_TRUE(relay.acquire().clean_start);
    EXPECT_THAT(payloads(relay.read()), ElementsAre("2"));
}

TEST_P(Feed, a_start_after_a_crash_is_not_clean) {
    publish("a", "1");
    const Fence first = relay_.acquire();
    relay_.mark_attempts(relay_.read().at(0), 3);
    feed_.reset();

    const auto next = store_->feed();
    FeedReader relay{*next};
    const Fence fence = relay.acquire();
    EXPECT_FALSE(fence.clean_start);
    EXPECT_GT(fence.value, first.value);
    EXPECT_EQ(relay.read().at(0).attempts, 3);
}

TEST_P(Feed, a_settled_message_is_dispatched_and_counted) {
    const StoredMessage message = publish("a", "1");
    relay_.acquire();
    const Timestamp before = now();
    relay_.settle(relay_.read());
    const StoredMessage stored = store_->message(message.message_id).value();
    EXPECT_EQ(stored.state, MessageState::dispatched);
    EXPECT_EQ(stored.approximate_dispatch_count, 1);
    EXPECT_GE(stored.last_dispatched_at.value(), before);
}

TEST_P(Feed, a_parked_lane_waits_and_the_others_flow) {
    relay_.acquire();
    publish("stuck", "s1");
    publish("stuck", "s2");
    publish("free", "f1");
    const auto messages = relay_.read();
    relay_.park(messages.at(0), 2, never);
    publish("stuck", "s3");
    publish("free", "f2");
    EXPECT_THAT(payloads(relay_.read_until("f2")), ElementsAre("f2"));
    EXPECT_FALSE(relay_.is_drained());
    EXPECT_EQ(store_->message(messages.at(1).message_id)->state, MessageState::parked);

    // Whoever takes over knows it too.
    relay_.release();
    const auto next = store_->feed();
    FeedReader relay{*next};
    relay.acquire();
    publish("free", "f3");
    EXPECT_THAT(payloads_of(relay.read_until("f3"), "stuck"), IsEmpty());
}

TEST_P(Feed, a_parked_lane_comes_back_in_order) {
    relay_.acquire();
    publish("a", "1");
    publish("a", "2");
    relay_.park(relay_.read().at(0), 2, now());
    publish("a", "3");
    // The one that failed before goes alone.
    const auto head = relay_.read_until("1");
    ASSERT_THAT(payloads(head), ElementsAre("1"));
    EXPECT_EQ(head.at(0).attempts, 2);
    EXPECT_EQ(head.at(0).state, MessageState::parked);
    relay_.settle(head);
    std::vector<std::string> rest;
    while (rest.size() < 2) {
        const auto some = relay_.read();
        for (const std::string& payload : payloads(some))
            rest.push_back(payload);
        relay_.settle(some);
    }
    EXPECT_THAT(rest, ElementsAre("2", "3"));
    EXPECT_TRUE(relay_.is_drained());

    publish("a", "4");
    const auto live = relay_.read();
    ASSERT_THAT(payloads(live), ElementsAre("4"));
    EXPECT_EQ(live.at(0).state, MessageState::pending);
}

TEST_P(Feed, a_lane_that_fails_again_waits_again) {
    relay_.acquire();
    publish("a", "1");
    relay_.park(relay_.read().at(0), 1, now());
    const auto again = relay_.read();
    ASSERT_THAT(payloads(again), ElementsAre("1"));
    relay_.park(again.at(0), 2, never);
    publish("b", "2");
    EXPECT_THAT(payloads(relay_.read_until("2")), ElementsAre("2"));
    EXPECT_EQ(store_->message(again.at(0).message_id)->attempts, 2);
}

TEST_P(Feed, unpark_frees_a_lane) {
    relay_.acquire();
    publish("a", "1");
    relay_.park(relay_.read().at(0), 1, never);
    auto messages = std::async(std::launch::async, [&] { return relay_.read(); });
    sync_wait(feed_->unpark("a"));
    EXPECT_THAT(payloads(messages.get()), ElementsAre("1"));
}

TEST_P(Feed, a_dead_letter_lets_its_lane_go_on) {
    relay_.acquire();
    publish("a", "1");
    publish("a", "2");
    const auto messages = relay_.read();
    relay_.settle({messages.at(0)}, Settlement::dead, "no such exchange");
    relay_.settle({messages.at(1)});
    EXPECT_EQ(store_->message(messages.at(0).message_id)->state, MessageState::dead);
    EXPECT_TRUE(relay_.is_drained());
    relay_.release();
    relay_.acquire();
    publish("b", "3");
    EXPECT_THAT(payloads(relay_.read()), ElementsAre("3"));
}

TEST_P(Feed, a_held_dead_letter_stops_its_lane) {
    relay_.acquire();
    publish("a", "1");
    publish("a", "2");
    const auto messages = relay_.read();
    relay_.settle({messages.at(0)}, Settlement::held, "no such exchange");
    publish("a", "3");
    publish("b", "4");
    EXPECT_THAT(payloads(relay_.read_until("4")), ElementsAre("4"));
    relay_.settle(std::vector<StoredMessage>{});
    EXPECT_EQ(store_->message(messages.at(1).message_id)->state, MessageState::parked);

    const auto admin = store_->admin();
    MessageFilter filter;
    filter.ids = {messages.at(0).message_id};
    EXPECT_EQ(sync_wait(admin->skip(filter, {})), 1U);
    EXPECT_THAT(payloads(relay_.read_until("2")), ElementsAre("2", "3"));
}

TEST_P(Feed, held_lanes_do_not_keep_it_from_being_drained) {
    relay_.acquire();
    publish("a", "1");
    publish("a", "2");
    EXPECT_FALSE(relay_.is_drained());
    const auto messages = relay_.read();
    EXPECT_FALSE(relay_.is_drained());
    relay_.settle({messages.at(0)}, Settlement::held, "refused");
    EXPECT_TRUE(relay_.is_drained());
}

TEST_P(Feed, a_relay_that_lost_its_lease_writes_nothing) {
    if (!GetParam().has_one_active_relay)
        GTEST_SKIP() << GetParam().name << " declares: its relays share the outbox";
    const auto frozen_feed = store_->feed(200ms);
    FeedReader frozen{*frozen_feed};
    const StoredMessage message = publish("a", "1");
    frozen.acquire();
    const auto messages = frozen.read();
    relay_.acquire();  // waits until the term is over, because nothing renews the lease
    EXPECT_THROW(frozen.settle(messages), FenceLostError);
    EXPECT_THROW(frozen.settle(messages, Settlement::held, "refused"), FenceLostError);
    EXPECT_THROW(frozen.park(messages.at(0), 7, never), FenceLostError);
    EXPECT_THROW(frozen.mark_attempts(messages.at(0), 7), FenceLostError);
    EXPECT_THROW(sync_wait(frozen_feed->unpark("a")), FenceLostError);
    ASSERT_EQ(store_->message(message.message_id), message);
    EXPECT_THAT(payloads(relay_.read()), ElementsAre("1"));
}

TEST_P(Feed, an_owner_that_only_settles_keeps_its_lease) {
    if (!GetParam().has_one_active_relay)
        GTEST_SKIP() << GetParam().name << " declares: its relays share the outbox";
    const auto feed = store_->feed(1s);
    FeedReader owner{*feed};
    owner.acquire();
    const auto standby = store_->feed(1s);
    auto fence = std::async(std::launch::async, [&] { return FeedReader{*standby}.acquire(); });
    const Timestamp end = now() + 2500ms;  // more than two terms
    while (now() < end)
        owner.settle({});
    EXPECT_NE(fence.wait_for(0s), std::future_status::ready);
    owner.release();
    EXPECT_TRUE(fence.get().clean_start);
}

TEST_P(Feed, a_message_sent_again_comes_in_its_lanes_order_with_a_new_number) {
    relay_.acquire();
    for (const char* payload : {"1", "2", "3"})
        publish("a", payload);
    const auto messages = relay_.read();
    relay_.settle(messages);
    const auto admin = store_->admin();
    MessageFilter filter;
    filter.ids = {messages.at(2).message_id, messages.at(0).message_id};
    EXPECT_EQ(sync_wait(admin->replay(filter, {})), 2U);
    publish("a", "4");
    const auto again = relay_.read_until("1");
    EXPECT_THAT(payloads(again), ElementsAre("1", "3"));
    EXPECT_EQ(again.at(0).replays, 1);
    relay_.settle(again);
    EXPECT_THAT(payloads(relay_.read_until("4")), ElementsAre("4"));
    EXPECT_EQ(store_->message(messages.at(0).message_id)->approximate_dispatch_count, 2);
}

TEST_P(Feed, a_lane_blocked_while_messages_are_read_gives_all_of_it_again_and_nothing_before) {
    relay_.acquire();
    constexpr int lanes = 40, messages_of_a_lane = 5;
    std::atomic<bool> is_over{false};
    std::mutex mutex;
    std::set<std::string> blocked;     // lanes whose park() has returned
    std::vector<StoredMessage> first;  // the first one of each lane, as it comes
    auto reader = std::async(std::launch::async, [&] {
        while (!is_over) {
            std::set<std::string> blocked_before;
            {
                const std::lock_guard lock{mutex};
                blocked_before = blocked;
            }
            for (StoredMessage& message : relay_.read(7)) {
                EXPECT_FALSE(blocked_before.contains(message.aggregate_id.str())) << message.payload;
                const std::lock_guard lock{mutex};
                if (message.payload == "0")
                    first.push_back(std::move(message));
            }
        }
    });
    std::vector<StoredMessage> to_block;
    for (int lane = 0; lane < lanes; ++lane) {
        for (int i = 0; i < messages_of_a_lane; ++i) {
            publish("lane" + std::to_string(lane), std::to_string(i));
            {
                const std::lock_guard lock{mutex};
                to_block.swap(first);
            }
            for (const StoredMessage& message : to_block) {
                relay_.park(message, 0, never);
                const std::lock_guard lock{mutex};
                blocked.insert(message.aggregate_id.str());
            }
            to_block.clear();
        }
    }
    is_over = true;
    feed_->interrupt();
    reader.get();

    // What was given before its lane was blocked comes again, too.
    for (const std::string& lane : blocked)
        sync_wait(feed_->unpark(lane));
    std::map<std::string, int> next;
    for (std::size_t left = blocked.size() * messages_of_a_lane; left > 0;) {
        const auto some = relay_.read();
        for (const StoredMessage& message : some) {
            if (!blocked.contains(message.aggregate_id.str()))
                continue;
            EXPECT_EQ(message.payload, std::to_string(next[message.aggregate_id.str()]++));
            --left;
        }
        relay_.settle(some);
    }
    EXPECT_GT(blocked.size(), 0U);
}

}  // namespace
}  // namespace txm::test
