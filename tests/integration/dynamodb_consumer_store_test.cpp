#include "integration/dynamodb_session_fixture.hpp"
#include "support/fake_http.hpp"
#include "support/pass_on.hpp"
#include "txm/dynamodb_feed.hpp"

#include <atomic>
#include <functional>
#include <thread>

namespace txm::test {
namespace {

using namespace std::chrono_literals;

class DynamoDbKeeper : public DynamoDbSession {
protected:
    std::unique_ptr<ConsumerStore> keeper(const std::string& consumer = "billing") {
        return std::make_unique<dynamodb::ConsumerStore>(*db, consumer, inbox, outbox + "-txm");
    }
    static Delivery delivery(const std::string& topic, const std::string& aggregate_id, Sequence sequence) {
        Delivery delivery;
        delivery.message.message_id = delivery.message.correlation_id = new_uuid();
        delivery.message.topic = topic;
        delivery.message.aggregate_id = aggregate_id;
        delivery.message.sequence = sequence;
        delivery.message.payload = aggregate_id + std::to_string(sequence);
        return delivery;
    }
    static bool is_parked(ConsumerStore& store, const Delivery& delivery) {
        const std::vector<Delivery> one{delivery};
        return sync_wait(store.is_parked(one)).at(0);
    }
    static void park(ConsumerStore& store, const std::vector<Delivery>& deliveries, Timestamp at = now()) {
        sync_wait(store.park(deliveries, at, "not yet"));
    }
    std::vector<ListedDelivery> listed(const std::string& state) {
        std::vector<ListedDelivery> all;
        const auto admin = dynamodb::open_admin(*db, outbox, inbox);
        sync_wait(admin->list_inbox("billing", state, {}, [&](const ListedDelivery& one) {
            all.push_back(one);
            return true;
        }));
        return all;
    }
};

TEST_F(DynamoDbKeeper, names_with_the_separator_are_not_mixed_up) {
    const auto one = keeper("a#b"), other = keeper("a");
    park(*one, {delivery("orders#x", "y", 1)});
    EXPECT_TRUE(is_parked(*one, delivery("orders#x", "y", 2)));
    EXPECT_FALSE(is_parked(*one, delivery("orders", "x#y", 2)));
    EXPECT_FALSE(is_parked(*one, delivery("orders%23x", "y", 2)));
    EXPECT_FALSE(is_parked(*other, delivery("orders#x", "y", 2)));
}

TEST_F(DynamoDbKeeper, parks_more_than_a_transaction_takes) {
    std::vector<Delivery> many;
    for (int i = 1; i <= 130; ++i)
        many.push_back(delivery("orders", "a" + std::to_string(i % 3), i));
    const auto store = keeper();
    park(*store, many);
    EXPECT_EQ(listed("parked").size(), 130U);
    std::vector<Sequence> last{0, 0, 0};
    for (std::size_t done = 0; done < many.size();) {
        const auto due = sync_wait(store->take_parked(100));
        ASSERT_FALSE(due.empty());
        for (const Delivery& head : due) {
            Sequence& before = last[static_cast<std::size_t>(head.message.sequence % 3)];
            EXPECT_LT(before, head.message.sequence);
            before = head.message.sequence;
            sync_wait(store->unpark(head));
            ++done;
        }
    }
    EXPECT_EQ(count(outbox + "-txm"), 1U) << "only that the consumer is known is left";
}

// Both change the same lane at each step: none of their deliveries is lost, none is counted twice.
TEST_F(DynamoDbKeeper, processes_that_meet_at_a_lane_lose_nothing) {
    constexpr int each = 25;
    const auto work = [&](int first) {
        const auto store = keeper();
        for (int i = 0; i < each; ++i)
            park(*store, {delivery("orders", "a", first + i)});
    };
    std::thread one(work, 1), other(work, 1000);
    one.join();
    other.join();
    EXPECT_EQ(listed("parked").size(), 2U * each);
    const auto drain = [&] {
        const auto store = keeper();
        for (;;) {
            const auto due = sync_wait(store->take_parked(1));
            if (due.empty())
                return;
            sync_wait(store->unpark(due.front()));
        }
    };
    std::thread third(drain), fourth(drain);
    third.join();
    fourth.join();
    EXPECT_TRUE(listed("parked").empty());
    EXPECT_FALSE(is_parked(*keeper(), delivery("orders", "a", 1)));
}

/// Another process does something before one of the reads that a change of a lane begins with.
class DynamoDbKeeperBeside : public DynamoDbKeeper, public testing::WithParamInterface<int> {
protected:
    void before_the_read(std::function<void()> what) { what_ = std::move(what); }

    static Incoming incoming(const Delivery& delivery) { return Incoming{delivery.message.message_id, "billing"}; }
    std::vector<std::string> take() {
        std::vector<std::string> payloads;
        for (const Delivery& delivery : sync_wait(other_->take_parked(10)))
            payloads.push_back(delivery.message.payload);
        return payloads;
    }
    static MessageFilter of(const Delivery& delivery) {
        MessageFilter filter;
        filter.ids = {delivery.message.message_id};
        return filter;
    }

    const Delivery first_ = delivery("orders", "a", 1), second_ = delivery("orders", "a", 2);
    const std::unique_ptr<ConsumerStore> other_ = keeper();
    std::atomic<int> reads_ = 0;
    std::function<void()> what_;
    FakeHttp http_{[this](const HttpRequest& request) {
        if (action_of(request) == "BatchGetItem" && what_ && ++reads_ == GetParam())
            what_();
        return pass_on(*db, request);
    }};
    dynamodb::Database between_{options_for(http_.endpoint())};
    const std::unique_ptr<Admin> admin_ = dynamodb::open_admin(between_, outbox, inbox);
};

INSTANTIATE_TEST_SUITE_P(Reads, DynamoDbKeeperBeside, testing::Range(1, 6));

TEST_P(DynamoDbKeeperBeside, what_took_effect_before_it_was_skipped_takes_nothing_else_of_its_lane_with_it) {
    park(*other_, {first_, second_});
    before_the_read([&] { sync_wait(other_->unpark(first_)); });
    sync_wait(admin_->skip_inbox("billing", of(first_)));
    EXPECT_EQ(take(), std::vector<std::string>{"a2"});
    EXPECT_TRUE(is_parked(*other_, second_));
}

TEST_P(DynamoDbKeeperBeside, what_became_a_dead_letter_before_it_was_sent_again_holds_its_lane_or_comes_first) {
    park(*other_, {first_, second_});
    before_the_read([&] { sync_wait(other_->dead_letter(incoming(first_), first_, "no", true)); });
    sync_wait(admin_->replay_inbox("billing", of(first_)));
    if (listed("dead").empty())
        EXPECT_EQ(take(), std::vector<std::string>{"a1"});
    else
        EXPECT_TRUE(take().empty());
    sync_wait(dynamodb::open_admin(*db, outbox, inbox)->replay_inbox("billing", {}));
    EXPECT_EQ(take(), std::vector<std::string>{"a1"});
}

TEST_P(DynamoDbKeeperBeside, what_two_processes_park_is_parked_once) {
    before_the_read([&] { park(*other_, {first_}); });
    dynamodb::ConsumerStore store(between_, "billing", inbox, outbox + "-txm");
    park(store, {first_});
    EXPECT_EQ(take(), std::vector<std::string>{"a1"});
    sync_wait(other_->unpark(first_));
    EXPECT_FALSE(is_parked(*other_, second_));
}

// DynamoDB keeps no item of more than 400 kB; brokers deliver more. Every character has three bytes, so that a cut falls into
// one now and then.
TEST_F(DynamoDbKeeper, what_is_too_large_for_an_item_is_parked_dead_and_sent_again_whole) {
    Delivery large = delivery("orders", "a", 1);
    large.message.payload = "x";
    while (large.message.payload.size() < (std::size_t{1} << 20) - 3)
        large.message.payload += "\xE2\x82\xAC";
    const std::string payload = large.message.payload;
    const auto store = keeper();
    park(*store, {large, delivery("orders", "a", 2)});
    ASSERT_EQ(listed("parked").size(), 2U);
    EXPECT_TRUE(listed("parked").front().message->payload == payload ||
                listed("parked").back().message->payload == payload);
    std::vector<Delivery> due = sync_wait(store->take_parked(10));
    ASSERT_EQ(due.size(), 1U);
    EXPECT_TRUE(due.front().message.payload == payload);

    const Incoming incoming{large.message.message_id, "billing"};
    sync_wait(store->dead_letter(incoming, due.front(), "no", true));
    ASSERT_EQ(listed("dead").size(), 1U);
    EXPECT_TRUE(listed("dead").front().message->payload == payload);
    ASSERT_EQ(listed("parked").size(), 1U);

    const auto admin = dynamodb::open_admin(*db, outbox, inbox);
    MessageFilter all;
    all.ids = {large.message.message_id};
    EXPECT_EQ(sync_wait(admin->replay_inbox("billing", all)), 1U);
    due = sync_wait(store->take_parked(10));
    ASSERT_EQ(due.size(), 1U);
    EXPECT_TRUE(due.front().message.payload == payload);
    EXPECT_TRUE(due.front().replay);
    sync_wait(store->unpark(due.front()));
    due = sync_wait(store->take_parked(10));
    ASSERT_EQ(due.size(), 1U);
    sync_wait(store->unpark(due.front()));
    EXPECT_EQ(count(outbox + "-txm"), 1U) << "only that the consumer is known is left";
}

TEST_F(DynamoDbKeeper, lanes_of_long_names_are_parked) {
    const std::string name(1'500, 'a');
    const auto store = keeper();
    const Delivery first = delivery("orders", name, 1), second = delivery("orders", name, 2);
    park(*store, {second, first});
    EXPECT_TRUE(is_parked(*store, first));
    EXPECT_FALSE(is_parked(*store, delivery("orders", name + "b", 1)));
    EXPECT_EQ(listed("parked").size(), 2U);
    for (const Delivery& expected : {first, second}) {
        const auto due = sync_wait(store->take_parked(10));
        ASSERT_EQ(due.size(), 1U);
        EXPECT_EQ(due.front().message.message_id, expected.message.message_id);
        EXPECT_EQ(due.front().message.aggregate_id.str(), name);
        sync_wait(store->unpark(due.front()));
    }
}

TEST_F(DynamoDbKeeper, what_is_too_large_for_a_transaction_is_refused_and_nothing_of_it_is_kept) {
    Delivery large = delivery("orders", "a", 1);
    large.message.payload = std::string(std::size_t{5} << 20, 'x');
    const auto store = keeper();
    const auto parked = thrown_by<Error>([&] { park(*store, {large}); });
    ASSERT_TRUE(parked);
    EXPECT_EQ(parked->code(), Errc::statement_failed);
    EXPECT_NE(std::string(parked->what()).find("4 MB"), std::string::npos) << parked->what();
    const auto buried =
        thrown_by<Error>([&] { sync_wait(store->dead_letter(Incoming{large.message.message_id}, large, "no", true)); });
    ASSERT_TRUE(buried);
    EXPECT_EQ(buried->code(), Errc::statement_failed);
    EXPECT_TRUE(listed("parked").empty());
    EXPECT_TRUE(listed("dead").empty());
    EXPECT_FALSE(is_parked(*store, large));
}

TEST_F(DynamoDbKeeper, what_needs_an_item_for_its_headers_alone_is_a_clear_error) {
    Delivery large = delivery("orders", "a", 1);
    large.message.headers["notes"].assign(std::size_t{1} << 20, 'x');
    const auto store = keeper();
    const auto error = thrown_by<Error>([&] { park(*store, {large}); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->message_id(), large.message.message_id);
    EXPECT_NE(std::string(error->what()).find("400 kB"), std::string::npos) << error->what();
    EXPECT_FALSE(is_parked(*store, large));
}

TEST_F(DynamoDbKeeper, a_dead_letter_does_not_expire) {
    dynamodb::ConsumerStore store(*db, "billing", inbox, outbox + "-txm", 24h);
    const Delivery letter = delivery("orders", "a", 1);
    sync_wait(store.dead_letter(Incoming{letter.message.message_id, "billing"}, letter, "unknown customer", true));
    const auto rows = all(inbox);
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_FALSE(rows.front().contains("ExpiresAt"));
    const Timestamp purged_to = sync_wait(store.purged_to());
    EXPECT_LE(purged_to, now() - 23h);
    EXPECT_GE(purged_to, now() - 24h);
}

}  // namespace
}  // namespace txm::test
