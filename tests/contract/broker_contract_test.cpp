#include "contract/broker_contract.hpp"

#include "support/broker_messages.hpp"
#include "txm/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <iterator>
#include <thread>

namespace txm::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class BrokerContract : public testing::TestWithParam<BrokerKind> {
protected:
    std::unique_ptr<Subscription> member(const std::string& group = "billing", bool from_end = false) {
        return broker_->subscription({"orders"}, group, from_end);
    }

    bool declares(bool ability, const char* what) const {
        if (!ability)
            std::printf("note: broker %s: %s\n", GetParam().name.c_str(), what);
        return ability;
    }

    /// Receives until there are `count`; acknowledges on the way where the rest of a lane would not come otherwise.
    std::vector<Delivery> receive_all(Subscription& subscription, std::size_t count) const {
        if (GetParam().runs_ahead)
            return receive(subscription, count);
        std::vector<Delivery> all;
        while (all.size() < count) {
            std::vector<Delivery> some = sync_wait(subscription.receive(count - all.size()));
            if (some.empty())
                break;
            acknowledge(subscription, some);
            std::ranges::move(some, std::back_inserter(all));
        }
        return all;
    }

    /// Numbers as they came, or sorted when the broker promises no order.
    std::vector<std::string> ordered(std::vector<std::string> arrived) const {
        if (!declares(GetParam().keeps_order, "an aggregate's messages may come in any order"))
            std::ranges::sort(arrived, {}, [](const auto& number) { return std::stoi(number); });
        return arrived;
    }

    std::unique_ptr<Broker> broker_ = GetParam().make();
    std::unique_ptr<Publisher> publisher_ = broker_->publisher();
};

INSTANTIATE_TEST_SUITE_P(Brokers, BrokerContract, testing::ValuesIn(broker_kinds()),
                         [](const auto& kind) { return kind.param.name; });

std::vector<std::string> numbers(int from, int to) {
    std::vector<std::string> result;
    for (int i = from; i <= to; ++i)
        result.push_back(std::to_string(i));
    return result;
}

TEST_P(BrokerContract, a_message_arrives_with_all_its_fields) {
    const std::vector sent{message("orders", "customer-1", "{\"total\": 1.50}")};
    EXPECT_EQ(publish(*publisher_, sent), 1U);

    const auto subscription = member();
    const auto received = receive(*subscription, 1);
    ASSERT_EQ(received.size(), 1U);
    const StoredMessage& m = received[0].message;
    EXPECT_EQ(m.message_id, sent[0].message_id);
    EXPECT_EQ(m.aggregate_id, sent[0].aggregate_id);
    EXPECT_EQ(m.correlation_id, sent[0].correlation_id);
    EXPECT_EQ(m.topic, sent[0].topic);
    EXPECT_EQ(m.type, sent[0].type);
    EXPECT_EQ(m.payload, sent[0].payload);
    EXPECT_EQ(m.headers, sent[0].headers);
    EXPECT_EQ(m.created_at, sent[0].created_at);
    EXPECT_EQ(m.stored_at, sent[0].stored_at);
    EXPECT_EQ(m.sequence, sent[0].sequence);
    EXPECT_EQ(received[0].attempt, 1);
    EXPECT_FALSE(received[0].replay);
}

TEST_P(BrokerContract, texts_are_kept_byte_for_byte) {
    std::vector sent{message("orders", "a\tb", std::string("with \0 zero", 11)), message("orders", "ä", "")};
    sent[0].type = "";
    sent[1].headers.clear();
    sent[1].correlation_id = sent[1].message_id;
    EXPECT_EQ(publish(*publisher_, sent), 2U);
    const auto subscription = member();
    const auto received = receive(*subscription, 2);
    ASSERT_THAT(payloads(received), UnorderedElementsAre(sent[0].payload, ""));
    for (const Delivery& delivery : received) {
        const StoredMessage& original = sent[delivery.message.payload.empty() ? 1 : 0];
        EXPECT_EQ(delivery.message.type, original.type);
        EXPECT_EQ(delivery.message.headers, original.headers);
        EXPECT_EQ(delivery.message.correlation_id, original.correlation_id);
    }
}

TEST_P(BrokerContract, an_aggregate_keeps_its_order_across_batches) {
    const std::vector<std::string> aggregates{"anna", "bert", "carl"};
    const std::size_t in_a_batch = publisher_->gapless() ? 4 : 1;
    for (int i = 1; i <= 40; i += static_cast<int>(in_a_batch)) {
        std::vector<StoredMessage> batch;
        for (std::size_t k = 0; k < in_a_batch; ++k)
            for (const auto& aggregate : aggregates)
                batch.push_back(message("orders", aggregate, std::to_string(i + static_cast<int>(k))));
        ASSERT_EQ(publish(*publisher_, batch), batch.size());
    }
    const auto subscription = member();
    const auto received = receive_all(*subscription, 120);
    for (const auto& aggregate : aggregates)
        EXPECT_EQ(ordered(payloads_of(received, aggregate)), numbers(1, 40)) << aggregate;
}

TEST_P(BrokerContract, what_was_not_acknowledged_comes_again_in_order) {
    std::vector<StoredMessage> sent;
    for (int i = 1; i <= 10; ++i)
        sent.push_back(message("orders", "anna", std::to_string(i)));
    for (const auto& m : sent)
        publish(*publisher_, std::span(&m, 1));
    {
        const auto subscription = member();
        if (GetParam().runs_ahead) {
            for (const Delivery& delivery : receive(*subscription, 10))
                if (std::stoi(delivery.message.payload) <= 4)
                    acknowledge(*subscription, std::span(&delivery, 1));
        } else {
            receive_all(*subscription, 4);
            receive(*subscription, 1);
        }
    }
    const auto subscription = member();
    EXPECT_EQ(ordered(payloads(receive_all(*subscription, 6))), numbers(5, 10));
}

TEST_P(BrokerContract, what_was_acknowledged_does_not_come_again) {
    const std::vector sent{message("orders", "anna", "1"), message("orders", "bert", "2")};
    publish(*publisher_, sent);
    {
        const auto subscription = member();
        acknowledge(*subscription, receive(*subscription, 2));
    }
    const std::vector later{message("orders", "carl", "3")};
    publish(*publisher_, later);
    const auto subscription = member();
    EXPECT_THAT(payloads(receive(*subscription, 1)), ElementsAre("3"));
}

TEST_P(BrokerContract, acknowledged_out_of_order_only_the_rest_comes_again) {
    std::vector<StoredMessage> sent;
    for (int i = 1; i <= 12; ++i)
        sent.push_back(message("orders", "customer-" + std::to_string(i), std::to_string(i)));
    publish(*publisher_, sent);
    {
        const auto subscription = member();
        auto received = receive(*subscription, 12);
        std::erase_if(received, [](const Delivery& d) { return d.message.payload == "1" || d.message.payload == "7"; });
        acknowledge(*subscription, received);
    }
    const auto subscription = member();
    EXPECT_THAT(payloads(drain(*subscription)), UnorderedElementsAre("1", "7"));
}

TEST_P(BrokerContract, a_message_sent_twice_is_acknowledged_twice_and_arrives_once) {
    if (!declares(GetParam().knows_duplicates, "a message sent twice is delivered twice"))
        return;
    const std::vector sent{message("orders", "anna", "1")};
    EXPECT_EQ(publish(*publisher_, sent), 1U);
    EXPECT_EQ(publish(*publisher_, sent), 1U);
    publisher_ = broker_->publisher();
    EXPECT_EQ(publish(*publisher_, sent), 1U);
    const auto subscription = member();
    EXPECT_THAT(payloads(drain(*subscription)), ElementsAre("1"));
}

TEST_P(BrokerContract, replay_inside_dedup_window_arrives) {
    std::vector sent{message("orders", "anna", "1")};
    publish(*publisher_, sent);
    const auto subscription = member();
    acknowledge(*subscription, receive(*subscription, 1));
    for (const int replays : {1, 2}) {
        sent[0].replays = replays;
        EXPECT_EQ(publish(*publisher_, sent), 1U);
        const auto received = receive(*subscription, 1);
        ASSERT_EQ(received.size(), 1U);
        EXPECT_EQ(received[0].message.message_id, sent[0].message_id);
        EXPECT_TRUE(received[0].replay);
        acknowledge(*subscription, received);
    }
}

TEST_P(BrokerContract, a_message_that_is_refused_holds_back_what_follows_of_its_aggregate) {
    if (!publisher_->gapless())
        return;
    std::vector sent{message("orders", "anna", "1"), message("orders", "anna", "2"), message("orders", "bert", "3"),
                     message("orders", "anna", "4")};
    sent[1].payload = "\xff\xfe";
    PublishBatch batch(sent);
    sync_wait(publisher_->publish(batch));
    EXPECT_EQ(batch.report(0), PublishBatch::Report::acknowledged);
    EXPECT_EQ(batch.report(1), PublishBatch::Report::refused);
    EXPECT_EQ(batch.report(2), PublishBatch::Report::acknowledged);
    EXPECT_EQ(batch.report(3), PublishBatch::Report::refused);
    const auto subscription = member();
    EXPECT_THAT(payloads(drain(*subscription)), UnorderedElementsAre("1", "3"));
}

TEST_P(BrokerContract, groups_do_not_know_of_each_other) {
    if (!declares(GetParam().has_groups, "it has one group"))
        return;
    const std::vector sent{message("orders", "anna", "1"), message("orders", "anna", "2")};
    for (const auto& m : sent)
        publish(*publisher_, std::span(&m, 1));
    const auto billing = member("billing");
    const auto shipping = member("shipping");
    EXPECT_THAT(ordered(payloads(drain(*billing))), ElementsAre("1", "2"));
    EXPECT_THAT(ordered(payloads(drain(*shipping))), ElementsAre("1", "2"));
}

TEST_P(BrokerContract, a_new_group_from_the_end_gets_what_comes_later) {
    if (!declares(GetParam().has_from_end, "a new group starts at the start"))
        return;
    const std::vector before{message("orders", "anna", "before")}, after{message("orders", "anna", "after")};
    publish(*publisher_, before);
    {
        const auto subscription = member("audit", true);
        EXPECT_THAT(drain(*subscription), IsEmpty());
    }
    publish(*publisher_, after);
    // Where it began was decided when it first subscribed.
    const auto subscription = member("audit", true);
    EXPECT_THAT(payloads(receive(*subscription, 1)), ElementsAre("after"));
}

TEST_P(BrokerContract, topics_are_apart_and_can_be_received_together) {
    const std::vector sent{message("orders", "anna", "order"), message("credit", "anna", "credit"),
                           message("other", "anna", "other")};
    for (const auto& m : sent)
        publish(*publisher_, std::span(&m, 1));
    const auto subscription = broker_->subscription({"orders", "credit"}, "billing", false);
    EXPECT_THAT(payloads(drain(*subscription)), UnorderedElementsAre("order", "credit"));
}

TEST_P(BrokerContract, receive_waits_for_a_message) {
    const std::vector first{message("orders", "anna", "1")}, second{message("orders", "anna", "2")};
    publish(*publisher_, first);
    const auto subscription = member();
    receive_all(*subscription, 1);
    std::vector<Delivery> received;
    std::thread receiver([&] { received = receive(*subscription, 1); });
    publish(*publisher_, second);
    receiver.join();
    EXPECT_THAT(payloads(received), ElementsAre("2"));
}

TEST_P(BrokerContract, interrupt_ends_a_wait) {
    const auto subscription = member();
    std::vector<Delivery> received;
    std::thread receiver([&] { received = sync_wait(subscription->receive(10)); });
    subscription->interrupt();
    receiver.join();
    EXPECT_THAT(received, IsEmpty());
}

TEST_P(BrokerContract, an_interrupt_counts_once) {
    const auto subscription = member();
    subscription->interrupt();
    EXPECT_THAT(sync_wait(subscription->receive(10)), IsEmpty());
    const std::vector sent{message("orders", "anna", "1")};
    publish(*publisher_, sent);
    EXPECT_THAT(payloads(sync_wait(subscription->receive(10))), ElementsAre("1"));
}

TEST_P(BrokerContract, drain_ends_at_what_was_there_and_waits_for_what_is_in_flight) {
    const std::vector sent{message("orders", "anna", "1"), message("orders", "bert", "2")};
    publish(*publisher_, sent);
    const auto subscription = member();
    sync_wait(subscription->drain());
    auto received = receive(*subscription, 2);
    ASSERT_EQ(received.size(), 2U);

    std::vector<Delivery> rest{Delivery{}};
    std::atomic<bool> is_over = false;
    std::thread receiver([&] {
        rest = sync_wait(subscription->receive(10));
        is_over = true;
    });
    acknowledge(*subscription, std::span(received).first(1));
    EXPECT_FALSE(is_over);
    acknowledge(*subscription, std::span(received).last(1));
    receiver.join();
    EXPECT_THAT(rest, IsEmpty());
}

TEST_P(BrokerContract, many_acknowledgements_at_once) {
    const std::size_t count = std::min<std::size_t>(2'000, GetParam().many);
    std::vector<StoredMessage> sent;
    for (std::size_t i = 0; i < count; ++i)
        sent.push_back(message("orders", "customer-" + std::to_string(i), std::to_string(i)));
    for (std::size_t i = 0; i < count; i += 500)
        publish(*publisher_, std::span(sent).subspan(i, std::min<std::size_t>(500, count - i)));
    {
        const auto subscription = member();
        acknowledge(*subscription, receive(*subscription, count));
    }
    const auto subscription = member();
    EXPECT_THAT(drain(*subscription), IsEmpty());
}

TEST_P(BrokerContract, many_pass_one_that_is_stuck) {
    const std::size_t count = std::min<std::size_t>(2'000, GetParam().many);
    const std::vector stuck{message("orders", "anna", "stuck")};
    publish(*publisher_, stuck);
    auto subscription = member();
    ASSERT_EQ(receive(*subscription, 1).size(), 1U);
    std::vector<StoredMessage> others;
    for (std::size_t i = 0; i < count; ++i)
        others.push_back(message("orders", "customer-" + std::to_string(i % 700), std::to_string(i)));
    for (std::size_t round = 0; round < GetParam().many / count; ++round) {
        for (StoredMessage& other : others)
            other.message_id = new_uuid();
        publish(*publisher_, others);
        const std::vector<Delivery> received = receive_all(*subscription, others.size());
        ASSERT_EQ(received.size(), others.size());
        acknowledge(*subscription, received);
    }
    subscription = nullptr;
    subscription = member();
    EXPECT_THAT(payloads(drain(*subscription)), ElementsAre("stuck"));
}

TEST_P(BrokerContract, members_of_a_group_share_its_lanes) {
    if (!declares(GetParam().shares_group, "one process consumes a group"))
        return;
    std::vector<StoredMessage> sent;
    for (int i = 1; i <= 30; ++i)
        for (int c = 0; c < 40; ++c)
            sent.push_back(message("orders", "customer-" + std::to_string(c), std::to_string(i)));

    std::vector<Delivery> received[2];
    std::unique_ptr<Subscription> members[2] = {member(), member()};
    std::atomic<std::size_t> count = 0;
    std::vector<std::thread> threads;
    for (int k = 0; k < 2; ++k)
        threads.emplace_back([&, k] {
            for (;;) {
                const auto some = sync_wait(members[k]->receive(16));
                if (some.empty())
                    return;
                acknowledge(*members[k], some);
                received[k].insert(received[k].end(), some.begin(), some.end());
                count += some.size();
                if (count >= sent.size()) {
                    members[0]->interrupt();
                    members[1]->interrupt();
                }
            }
        });
    for (std::size_t i = 0; i < sent.size(); i += 40)
        publish(*publisher_, std::span(sent).subspan(i, 40));
    for (auto& thread : threads)
        thread.join();

    for (int c = 0; c < 40; ++c) {
        const std::string aggregate = "customer-" + std::to_string(c);
        std::vector<std::string> all = payloads_of(received[0], aggregate);
        const std::vector<std::string> theirs = payloads_of(received[1], aggregate);
        EXPECT_TRUE(std::ranges::is_sorted(all, {}, [](const auto& p) { return std::stoi(p); }));
        EXPECT_TRUE(std::ranges::is_sorted(theirs, {}, [](const auto& p) { return std::stoi(p); }));
        EXPECT_EQ(all.size() + theirs.size(), 30U) << aggregate;
    }
}

}  // namespace
}  // namespace txm::test
