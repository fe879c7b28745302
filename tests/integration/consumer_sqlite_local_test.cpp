#include "support/scratch_directory.hpp"
#include "txm/consumer.hpp"
#include "txm/local.hpp"
#include "txm/sqlite.hpp"
#include "txm/sqlite_feed.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace txm::test {
namespace {

class EffectUnitOfWork : public UnitOfWork {
public:
    EffectUnitOfWork(sqlite::Database& db, const Incoming& incoming) : UnitOfWork(incoming), session_(db) {}

    InboxRepository& inbox() override { return inbox_; }
    sqlite::Session& session() override { return session_; }

private:
    sqlite::Session session_;
    sqlite::InboxRepository inbox_{"inbox", session_};
};

struct Paid {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    std::string customer;
    int number = 0;
    Timestamp created_at = now();

    std::string aggregate_id() const { return customer; }
    std::string serialize() const { return customer + " " + std::to_string(number); }
    static Paid deserialize(std::string_view text) {
        Paid result;
        result.customer = text.substr(0, text.find(' '));
        result.number = std::stoi(std::string(text.substr(text.find(' ') + 1)));
        return result;
    }
};

const TopicMap topics{topic<Paid>("payments", "paid")};

class ConsumerSqliteLocalTest : public ::testing::Test {
protected:
    // Many more than the rounds that are cut short can handle.
    static constexpr int messages = 1'500, customers = 20;

    ConsumerSqliteLocalTest() {
        sync_wait(sqlite::create_outbox_table(db));
        sync_wait(sqlite::create_inbox_table(db));
        sqlite::Session session(db);
        session.add("create table effect (place integer primary key autoincrement, customer text, number integer)");
        sync_wait(session.commit());
        publish();
    }

    void publish() {
        std::vector<StoredMessage> all;
        for (int n = 0; n < messages; ++n) {
            Paid paid;
            paid.customer = "customer-" + std::to_string(n % customers);
            paid.number = n;
            StoredMessage message;
            message.message_id = message.correlation_id = paid.message_id;
            message.aggregate_id = paid.aggregate_id();
            message.topic = "payments";
            message.type = "paid";
            message.payload = paid.serialize();
            message.created_at = message.stored_at = now();
            message.sequence = n + 1;
            all.push_back(std::move(message));
        }
        local::Publisher publisher(broker);
        PublishBatch batch(all);
        sync_wait(publisher.publish(batch));
    }

    using Disturb = std::function<void(Consumer<EffectUnitOfWork>&, const Paid&)>;

    ConsumerStatistics run(const std::string& group, bool drain, const Disturb& disturb) {
        boost::asio::thread_pool threads(3);
        std::vector<std::string> names{"payments"};
        local::Subscription subscription(broker, names, local::SubscriptionOptions(group));
        sqlite::ConsumerStore store(db, "billing");
        ConsumerOptions options("billing");
        options.drain = drain;
        options.backoff = options.max_backoff = std::chrono::milliseconds(1);
        options.parked_poll = std::chrono::milliseconds(5);
        options.park_after = std::chrono::milliseconds(3);
        options.max_attempts = 1000;
        Consumer<EffectUnitOfWork> consumer(store, subscription, options, [this](const Incoming& incoming) {
            return std::make_unique<EffectUnitOfWork>(db, incoming);
        });
        consumer.on<Paid>(topics, [&](EffectUnitOfWork& uow, const Paid& paid) {
            uow.session().add("insert into effect (customer, number) values (?, ?)", paid.customer, paid.number);
            disturb(consumer, paid);
        });
        boost::asio::co_spawn(threads, consumer.run(), boost::asio::use_future).get();
        threads.join();
        return consumer.statistics();
    }

    // What took effect, by customer, in commit order.
    std::map<std::string, std::vector<std::int64_t>> effects() {
        sqlite::Session session(db);
        std::map<std::string, std::vector<std::int64_t>> result;
        const auto rows = sync_wait(session.read("select customer, number from effect order by place"));
        for (const Row& row : rows)
            result[std::get<std::string>(row[0])].push_back(std::get<std::int64_t>(row[1]));
        return result;
    }

    ScratchDirectory directory;
    sqlite::Database db{directory / "billing.db"};
    std::string broker = directory / "broker.db";
};

TEST_F(ConsumerSqliteLocalTest, one_effect_each_in_order_however_often_it_is_delivered) {
    // Interrupted again and again with handled deliveries that are not acknowledged.
    for (int round = 1; round <= 6; ++round) {
        int handled = 0;
        run("billing", false, [&](auto& consumer, const Paid& paid) {
            if (++handled == 20 * round) {
                consumer.stop();
                consumer.stop();
            }
            if ((paid.number + handled) % 11 == 0)
                throw std::runtime_error("not yet");
        });
    }
    const auto quiet = [](auto&, const Paid&) {};
    run("billing", true, quiet);
    // What was parked in the last round may have become due after that.
    run("billing", true, quiet);

    // Another group gets everything again: the inbox knows all of it.
    const ConsumerStatistics again = run("billing-restored", true, quiet);
    EXPECT_EQ(again.duplicates, static_cast<std::uint64_t>(messages));
    EXPECT_EQ(again.processed, 0u);

    const auto all = effects();
    ASSERT_EQ(all.size(), std::size_t{customers});
    for (const auto& [customer, numbers] : all) {
        std::vector<std::int64_t> expected;
        for (int n = 0; n < messages; ++n) {
            if ("customer-" + std::to_string(n % customers) == customer)
                expected.push_back(n);
        }
        EXPECT_EQ(numbers, expected) << customer;
    }
}

}  // namespace
}  // namespace txm::test
