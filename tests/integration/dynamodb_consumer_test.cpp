#include "integration/dynamodb_consumer_fixture.hpp"

#include <atomic>
#include <cstdlib>
#include <sstream>
#include <thread>

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

namespace txm::test {
namespace {

using namespace std::chrono_literals;

constexpr const char* child_variable = "TXM_TEST_CONSUMER";

class DynamoDbConsumer : public DynamoDbSession {
protected:
    void publish(const std::vector<Paid>& payments, Timestamp stored_at = now()) {
        std::vector<StoredMessage> all;
        for (const Paid& paid : payments) {
            StoredMessage message;
            message.message_id = message.correlation_id = paid.message_id;
            message.aggregate_id = paid.aggregate_id();
            message.topic = "payments";
            message.type = "paid";
            message.payload = paid.serialize();
            message.created_at = message.stored_at = stored_at;
            message.sequence = paid.number + 1;
            all.push_back(std::move(message));
        }
        local::Publisher publisher(place.broker);
        PublishBatch batch(all);
        sync_wait(publisher.publish(batch));
    }

    static std::vector<Paid> payments_of(int customers, int count) {
        std::vector<Paid> all;
        for (int n = 0; n < count; ++n) {
            Paid paid;
            paid.customer = "customer-" + std::to_string(n % customers);
            paid.number = n;
            all.push_back(std::move(paid));
        }
        return all;
    }

    std::vector<int> paid_by(const std::string& customer) {
        std::vector<int> numbers;
        const auto account = this->account(customer);
        if (!account || !account->contains("Paid"))
            return numbers;
        for (const dynamodb::Attribute& number : std::get<dynamodb::Attribute::List>(account->at("Paid").value()))
            numbers.push_back(static_cast<int>(number.integer()));
        return numbers;
    }

    void expect_each_once_in_order(int customers, int count) {
        for (int customer = 0; customer < customers; ++customer) {
            std::vector<int> expected;
            for (int n = customer; n < count; n += customers)
                expected.push_back(n);
            EXPECT_EQ(paid_by("customer-" + std::to_string(customer)), expected) << "customer " << customer;
        }
    }

    std::vector<ListedDelivery> listed(const std::string& state) {
        std::vector<ListedDelivery> all;
        sync_wait(admin->list_inbox("billing", state, {}, [&](const ListedDelivery& one) {
            all.push_back(one);
            return true;
        }));
        return all;
    }

    ScratchDirectory directory;
    ConsumerPlace place{server().endpoint(), accounts, inbox, outbox + "-txm", directory / "broker.db"};
    std::unique_ptr<Admin> admin = dynamodb::open_admin(*db, outbox, inbox);
};

TEST_F(DynamoDbConsumer, competing_members_apply_each_message_once_in_order) {
    constexpr int customers = 6, count = 120;
    publish(payments_of(customers, count));
    // Two groups get everything, each with two members; all of them are one consumer: only the inbox tells what is done.
    std::atomic<int> tries = 0;
    const auto handler = [&](auto&, PaymentWork& uow, const Paid& paid) {
        place.apply(uow, paid);
        if (++tries % 7 == 0)
            throw std::runtime_error("not yet");
    };
    std::vector<std::thread> members;
    for (const char* group : {"one", "one", "two", "two"})
        members.emplace_back([&, group] { place.run(group, place.options(), handler); });
    for (std::thread& member : members)
        member.join();
    // What was parked at the end may have become due after that.
    place.run("one", place.options(), handler);
    EXPECT_TRUE(listed("parked").empty());
    expect_each_once_in_order(customers, count);
    const ConsumerStatistics again = place.run("three", place.options(), handler);
    EXPECT_EQ(again.duplicates, static_cast<std::uint64_t>(count));
    expect_each_once_in_order(customers, count);
}

TEST_F(DynamoDbConsumer, a_message_that_took_effect_becomes_no_dead_letter) {
    publish(payments_of(1, 1));
    const auto pay = [&](auto&, PaymentWork& uow, const Paid& paid) { place.apply(uow, paid); };
    // While one member is about to reject it, another one applies it.
    const ConsumerStatistics rejecting = place.run("slow", place.options(), [&](auto&, PaymentWork&, const Paid&) {
        std::thread other([&] { place.run("quick", place.options(), pay); });
        other.join();
        throw Rejected("unknown customer");
    });
    EXPECT_EQ(rejecting.dead, 0U);
    EXPECT_TRUE(listed("dead").empty());
    EXPECT_EQ(paid_by("customer-0"), std::vector<int>{0});
}

TEST_F(DynamoDbConsumer, a_dead_letter_takes_no_effect) {
    publish(payments_of(1, 1));
    bool is_first = true;
    const ConsumerStatistics late = place.run("slow", place.options(), [&](auto&, PaymentWork& uow, const Paid& paid) {
        place.apply(uow, paid);
        if (!std::exchange(is_first, false))
            return;
        std::thread other([&] {
            place.run("quick", place.options(), [](auto&, PaymentWork&, const Paid&) { throw Rejected("no"); });
        });
        other.join();
    });
    EXPECT_EQ(late.processed, 0U);
    EXPECT_EQ(listed("dead").size(), 1U);
    EXPECT_TRUE(paid_by("customer-0").empty());
}

TEST_F(DynamoDbConsumer, poison_does_not_pin_the_broker_and_keeps_its_lane_in_order) {
    constexpr int customers = 4, count = 40;
    publish(payments_of(customers, count));
    ConsumerOptions options = place.options();
    options.max_backoff = options.backoff = 1h;  // it is not tried again meanwhile
    const ConsumerStatistics first = place.run("g", options, [&](auto&, PaymentWork& uow, const Paid& paid) {
        if (paid.number == 4)
            throw std::runtime_error("the bank does not answer");
        place.apply(uow, paid);
    });
    EXPECT_EQ(first.processed, static_cast<std::uint64_t>(count - count / customers + 1));
    EXPECT_EQ(listed("parked").size(), static_cast<std::size_t>(count / customers - 1));
    EXPECT_EQ(paid_by("customer-0"), std::vector<int>{0});

    EXPECT_GT(sync_wait(admin->replay_inbox("billing", {})), 0U);
    const auto pay = [&](auto&, PaymentWork& uow, const Paid& paid) { place.apply(uow, paid); };
    const ConsumerStatistics second = place.run("g", place.options(), pay);
    EXPECT_EQ(second.received, 0U) << "the broker gives none of it again";
    EXPECT_TRUE(listed("parked").empty());
    expect_each_once_in_order(customers, count);
}

TEST_F(DynamoDbConsumer, what_is_older_than_the_inbox_remembers_is_refused) {
    publish(payments_of(1, 1), now() - 100h);
    const auto pay = [&](auto&, PaymentWork& uow, const Paid& paid) { place.apply(uow, paid); };
    const ConsumerStatistics statistics = place.run("g", place.options(), pay, 24h);
    EXPECT_EQ(statistics.dead, 1U);
    EXPECT_TRUE(paid_by("customer-0").empty());
    ASSERT_EQ(listed("dead").size(), 1U);

    // An operator who knows that it never took effect sends it again.
    EXPECT_EQ(sync_wait(admin->replay_inbox("billing", {})), 1U);
    place.run("g", place.options(), pay, 24h);
    EXPECT_EQ(paid_by("customer-0"), std::vector<int>{0});
    EXPECT_TRUE(listed("dead").empty());
}

// Run by the tests below in a process of its own, which it does not survive.
TEST(DISABLED_DynamoDbConsumerChild, dies_in_the_middle) {
    ConsumerPlace place;
    int victim = 0;
    std::istringstream(std::getenv(child_variable)) >> place.endpoint >> place.accounts >> place.inbox >>
        place.state_table >> place.broker >> victim;
    place.run("g", place.options(), [&](auto&, PaymentWork& uow, const Paid& paid) {
        place.apply(uow, paid);
        if (paid.number == victim)
            ::raise(SIGKILL);
    });
}

TEST_F(DynamoDbConsumer, a_member_killed_in_a_handler_leaves_nothing_half_done) {
    constexpr int customers = 3, count = 30;
    publish(payments_of(customers, count));
    for (const int victim : {0, 11, 20}) {
        const std::string where = std::string(child_variable) + "=" + place.endpoint + " " + place.accounts + " " +
                                  place.inbox + " " + place.state_table + " " + place.broker + " " +
                                  std::to_string(victim);
        std::vector<char*> environment{const_cast<char*>(where.c_str()), nullptr};
        std::string program = "/proc/self/exe", filter = "--gtest_filter=*dies_in_the_middle",
                    disabled = "--gtest_also_run_disabled_tests";
        std::vector<char*> arguments{program.data(), filter.data(), disabled.data(), nullptr};
        pid_t child = 0;
        ASSERT_EQ(::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), environment.data()), 0);
        int status = 0;
        ::waitpid(child, &status, 0);
        ASSERT_TRUE(WIFSIGNALED(status)) << "victim " << victim;
    }
    const auto pay = [&](auto&, PaymentWork& uow, const Paid& paid) { place.apply(uow, paid); };
    place.run("g", place.options(), pay);
    place.run("g", place.options(), pay);
    expect_each_once_in_order(customers, count);
    EXPECT_TRUE(listed("parked").empty());
    EXPECT_TRUE(listed("dead").empty());
}

}  // namespace
}  // namespace txm::test
