#include "txm/consumer.hpp"

#include "support/consumer_bench.hpp"
#include "txm/sync_wait.hpp"
#include "txm/testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace txm::test {
namespace {

using ::testing::ElementsAre;

struct OrderCreated {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    std::string aggregate_id;
    Timestamp created_at = now();
    int cents = 0;

    std::string serialize() const { return std::to_string(cents); }
    static OrderCreated deserialize(std::string_view text) {
        OrderCreated result;
        result.cents = std::stoi(std::string(text));
        return result;
    }
};

struct OrderCancelled : OrderCreated {
    static OrderCancelled deserialize(std::string_view) { return {}; }
};

const TopicMap both{topic<OrderCreated>("orders", "order-created"), topic<OrderCancelled>("orders", "order-cancelled")};

// The tables of a service. Its consumer handles one delivery at a time here, so one session is enough.
struct Tables {
    txm::testing::FakeSession session{};
    txm::testing::FakeInboxRepository inbox{session};
    std::vector<int> credit{};
};

class CreditUnitOfWork : public UnitOfWork {
public:
    CreditUnitOfWork(Tables& tables, const Incoming& incoming) : UnitOfWork(incoming), tables_(tables) {}

    InboxRepository& inbox() override { return tables_.inbox; }
    txm::Session& session() override { return tables_.session; }

    void reserve(int cents) {
        tables_.session.add([&credit = tables_.credit, cents] { credit.push_back(cents); });
    }

private:
    Tables& tables_;
};

class ConsumerTest : public ::testing::Test {
protected:
    using Handles = std::function<void(Consumer<CreditUnitOfWork>&)>;

    ConsumerStatistics run(const Handles& handles, const std::string& name = "billing") {
        ConsumerOptions options{name};
        options.drain = true;
        options.max_in_flight = 1;
        options.max_attempts = 2;
        options.backoff = options.max_backoff = std::chrono::milliseconds(1);
        Consumer<CreditUnitOfWork> consumer(store, broker, std::move(options), [this](const Incoming& incoming) {
            return std::make_unique<CreditUnitOfWork>(tables, incoming);
        });
        handles(consumer);
        std::exception_ptr problem;
        boost::asio::co_spawn(io, consumer.run(), [&](std::exception_ptr e) { problem = e; });
        io.restart();
        io.run();
        if (problem)
            std::rethrow_exception(problem);
        return consumer.statistics();
    }

    void push(Sequence n, const std::string& payload, const std::string& type = "order-created") {
        StoredMessage message = ConsumerBench::message("a", n, payload);
        message.type = type;
        broker.push(message);
    }

    bool has_inbox_row(Sequence n) {
        const Incoming incoming(ConsumerBench::message("a", n).message_id, "billing");
        return sync_wait(tables.inbox.get(incoming)).has_value();
    }

    boost::asio::io_context io;
    MemoryTopic broker{io.get_executor()};
    MemoryConsumerStore store;
    Tables tables;
};

TEST_F(ConsumerTest, handler_is_a_plain_function_or_a_coroutine) {
    push(1, "100");
    push(2, "", "order-cancelled");
    const ConsumerStatistics statistics = run([](auto& consumer) {
        consumer.template on<OrderCreated>(
            both, [](CreditUnitOfWork& uow, const OrderCreated& order) { uow.reserve(order.cents); });
        consumer.template on<OrderCancelled>(both, [](CreditUnitOfWork& uow, const OrderCancelled&) -> awaitable<void> {
            co_await boost::asio::post(boost::asio::use_awaitable);
            uow.reserve(-1);
        });
    });
    EXPECT_EQ(statistics.processed, 2u);
    EXPECT_THAT(tables.credit, ElementsAre(100, -1));
}

TEST_F(ConsumerTest, handler_forgets_commit) {
    push(1, "100");
    run([](auto& consumer) {
        consumer.template on<OrderCreated>(
            both, [](CreditUnitOfWork& uow, const OrderCreated& order) { uow.reserve(order.cents); });
    });
    EXPECT_THAT(tables.credit, ElementsAre(100));
    EXPECT_TRUE(has_inbox_row(1));
    EXPECT_EQ(tables.session.commits(), 1u);
}

TEST_F(ConsumerTest, handler_that_commits_itself_is_left_alone) {
    push(1, "100");
    run([](auto& consumer) {
        consumer.template on<OrderCreated>(both,
                                           [](CreditUnitOfWork& uow, const OrderCreated& order) -> awaitable<void> {
                                               uow.reserve(order.cents);
                                               co_await uow.commit();
                                           });
    });
    EXPECT_THAT(tables.credit, ElementsAre(100));
    EXPECT_TRUE(has_inbox_row(1));
    EXPECT_EQ(tables.session.commits(), 1u);
}

TEST_F(ConsumerTest, second_commit_of_one_delivery_is_refused) {
    push(1, "100");
    const ConsumerStatistics statistics = run([](auto& consumer) {
        consumer.template on<OrderCreated>(both,
                                           [](CreditUnitOfWork& uow, const OrderCreated& order) -> awaitable<void> {
                                               uow.reserve(order.cents);
                                               co_await uow.commit();
                                               uow.reserve(7);  // must not vanish without a word
                                           });
    });
    EXPECT_THAT(tables.credit, ElementsAre(100));
    EXPECT_EQ(statistics.failed, 1u);
    EXPECT_EQ(statistics.duplicates, 1u);
}

TEST_F(ConsumerTest, handler_that_does_nothing_or_rolls_back_is_remembered) {
    push(1, "1");
    push(2, "2");
    const ConsumerStatistics statistics = run([](auto& consumer) {
        consumer.template on<OrderCreated>(both, [](CreditUnitOfWork& uow, const OrderCreated& order) {
            if (order.cents == 1)
                return;
            uow.reserve(order.cents);
            uow.rollback();
        });
    });
    EXPECT_EQ(statistics.processed, 2u);
    EXPECT_TRUE(tables.credit.empty());
    EXPECT_TRUE(has_inbox_row(1));
    EXPECT_TRUE(has_inbox_row(2));
}

TEST_F(ConsumerTest, handler_that_throws_leaves_nothing_and_is_tried_again) {
    push(1, "100");
    int tries = 0;
    const ConsumerStatistics statistics = run([&](auto& consumer) {
        consumer.template on<OrderCreated>(both, [&](CreditUnitOfWork& uow, const OrderCreated& order) {
            uow.reserve(order.cents);
            if (++tries == 1)
                throw std::runtime_error("not yet");
        });
    });
    EXPECT_EQ(statistics.failed, 1u);
    EXPECT_THAT(tables.credit, ElementsAre(100));
}

TEST_F(ConsumerTest, payload_that_cannot_be_decoded_is_a_dead_letter_at_once) {
    push(1, "a hundred");
    const ConsumerStatistics statistics = run([](auto& consumer) {
        consumer.template on<OrderCreated>(both, [](CreditUnitOfWork&, const OrderCreated&) {});
    });
    EXPECT_EQ(statistics.dead, 1u);
    EXPECT_EQ(statistics.failed, 0u);
    ASSERT_EQ(store.dead.size(), 1u);
    EXPECT_NE(store.dead.begin()->second.find("cannot decode the payload"), std::string::npos);
}

TEST_F(ConsumerTest, message_without_a_type_goes_to_the_only_handler_of_its_topic) {
    push(1, "100", "");
    const auto take = [](CreditUnitOfWork& uow, const OrderCreated& order) { uow.reserve(order.cents); };
    const auto cancel = [](CreditUnitOfWork&, const OrderCancelled&) {};
    EXPECT_EQ(run([&](auto& consumer) { consumer.template on<OrderCreated>(both, take); }).processed, 1u);
    EXPECT_THAT(tables.credit, ElementsAre(100));

    broker.reopen();
    push(2, "200", "");
    const ConsumerStatistics statistics = run([&](auto& consumer) {
        consumer.template on<OrderCreated>(both, take).template on<OrderCancelled>(both, cancel);
    });
    EXPECT_EQ(statistics.ignored, 1u) << "which of two it is cannot be known";
}

TEST_F(ConsumerTest, one_type_has_one_handler) {
    const auto take = [](CreditUnitOfWork&, const OrderCreated&) {};
    const auto twice = [&](auto& consumer) {
        consumer.template on<OrderCreated>(both, take).template on<OrderCreated>(both, take);
    };
    EXPECT_THROW(run(twice), std::invalid_argument);
    const TopicMap neither{};
    EXPECT_THROW(run([&](auto& consumer) { consumer.template on<OrderCreated>(neither, take); }), UnknownTopicError);
}

TEST_F(ConsumerTest, two_consumers_one_store_both_run) {
    const auto take = [](CreditUnitOfWork& uow, const OrderCreated& order) { uow.reserve(order.cents); };
    for (const auto* name : {"billing", "shipping", "billing"}) {
        broker.reopen();
        push(1, "100");
        run([&](auto& consumer) { consumer.template on<OrderCreated>(both, take); }, name);
    }
    EXPECT_THAT(tables.credit, ElementsAre(100, 100));
}

}  // namespace
}  // namespace txm::test
