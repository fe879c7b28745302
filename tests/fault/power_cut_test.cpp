#include "fault/power.hpp"

#include "txm/consumer.hpp"
#include "txm/local.hpp"
#include "txm/relay.hpp"
#include "txm/sqlite.hpp"
#include "txm/sqlite_feed.hpp"
#include "txm/sync_wait.hpp"

#include <gtest/gtest.h>

#include <sqlite3.h>
#include <filesystem>
#include <random>
#include <set>
#include <span>
#include <thread>

namespace {

using namespace txm;
using fault_test::RecordedDisk;

struct Happened {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    std::string aggregate_id{};
    Timestamp created_at = now();
    std::string serialize() const { return "{}"; }
};

const TopicMap topics{topic<Happened>("events", "happened")};

std::string scratch(const std::string& name) {
    const auto path = std::filesystem::temp_directory_path() / ("txm-power-" + std::to_string(::getpid())) / name;
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
    return path.string();
}

/// Hands on to the local broker; what it is given must be on disk, and what it acknowledges must be there.
class NotingPublisher final : public Publisher {
public:
    NotingPublisher(RecordedDisk& disk, const std::string& file) : disk_(disk), broker_(file) {}

    awaitable<void> publish(PublishBatch& batch) override {
        for (const auto& message : batch)
            disk_.note("handed " + message.message_id.to_string());
        co_await broker_.publish(batch);
        for (std::size_t i = 0; i < batch.size(); ++i)
            if (batch.report(i) == PublishBatch::Report::acknowledged)
                disk_.note("acknowledged " + batch.messages()[i].message_id.to_string());
    }
    bool gapless() const noexcept override { return broker_.gapless(); }

private:
    RecordedDisk& disk_;
    local::Publisher broker_;
};

awaitable<void> publish_some(sqlite::Database& db, RecordedDisk& disk, int count, bool is_promised) {
    for (int i = 0; i < count; ++i) {
        sqlite::Session session{db};
        sqlite::OutboxRepository outbox{"outbox", session, topics};
        Happened event;
        event.aggregate_id = "aggregate-" + std::to_string(i % 7);
        outbox.publish(event);
        co_await session.commit();
        if (is_promised)
            disk.note("committed " + event.message_id.to_string());
    }
}

/// What is in a database after the cut, asked through SQLite's own file system.
std::set<std::string> read(const std::string& database, const std::string& sql) {
    std::set<std::string> found;
    sqlite3* db = nullptr;
    sqlite3_open_v2(database.c_str(), &db, SQLITE_OPEN_READWRITE, "unix");
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK)
        while (sqlite3_step(statement) == SQLITE_ROW)
            found.insert(reinterpret_cast<const char*>(sqlite3_column_text(statement, 0)));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return found;
}

/// What the group will not be given again.
const char* const settled =
    "select m.message_id from message m join consumer_group g on g.topic = m.topic join group_partition p on "
    "p.group_id = g.id and p.partition = m.partition where m.offset <= p.floor or exists (select 1 from settled s "
    "where "
    "s.group_id = g.id and s.partition = m.partition and s.offset = m.offset)";

/// Applies messages to a store of its own. Some aggregates cannot be handled, now or ever.
class Handler {
public:
    Handler(sqlite::Database& db, RecordedDisk& disk) : db_(db), disk_(disk) {}

    awaitable<bool> operator()(const Incoming& incoming, const Delivery& delivery) {
        if (delivery.message.aggregate_id.str() == "aggregate-3")
            throw std::runtime_error("not now");
        if (delivery.message.aggregate_id.str() == "aggregate-5")
            throw Rejected("never");
        sqlite::Session session{db_};
        sqlite::InboxRepository inbox{"inbox", session};
        inbox.save(incoming);
        co_await session.commit();
        disk_.note("applied " + incoming.message_id.to_string());
        co_return true;
    }

private:
    sqlite::Database& db_;
    RecordedDisk& disk_;
};

ConsumerOptions consumer_options() {
    ConsumerOptions options{"billing"};
    options.policy = DeadLetterPolicy::skip;
    options.park_after = std::chrono::milliseconds{0};
    options.backoff = options.max_backoff = std::chrono::minutes{10};
    return options;
}

class PowerCut : public testing::TestWithParam<sqlite::Synchronous> {};

TEST_P(PowerCut, NothingThatWasPromisedIsGone) {
    const std::string directory = scratch("disk"), after = scratch("after");
    RecordedDisk disk;
    {
        sqlite::DatabaseOptions options;
        options.synchronous = GetParam();
        sqlite::Database db{directory + "/app.db", options};
        sync_wait(sqlite::create_outbox_table(db));
        sqlite::OutboxFeed feed{db};
        NotingPublisher publisher{disk, directory + "/broker.db"};
        Relay relay{feed, publisher};
        std::thread running{[&] { sync_wait(relay.run()); }};

        sqlite::Database effects{directory + "/effects.db"};
        sync_wait(sqlite::create_inbox_table(effects));
        sqlite::ConsumerStore kept{effects, "billing"};
        local::Subscription subscription{directory + "/broker.db", {"events"}, local::SubscriptionOptions{"billing"}};
        Handler handler{effects, disk};
        ConsumerRunner consumer{kept, subscription, consumer_options(), std::ref(handler)};
        std::thread consuming{[&] { sync_wait(consumer.run()); }};

        // With synchronous=NORMAL a commit promises nothing about power; what the relay hands on is flushed all the same.
        sync_wait(publish_some(db, disk, 150, GetParam() == sqlite::Synchronous::full));
        const auto is_done = [&] {
            const ConsumerStatistics done = consumer.statistics();
            return relay.statistics().dispatched >= 150 && done.processed + done.parked + done.dead >= 150;
        };
        while (!is_done())
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        relay.stop();
        consumer.stop();
        running.join();
        consuming.join();
    }
    std::minstd_rand random{7};
    for (int cut = 0; cut < 60; ++cut) {
        const std::size_t at = random() % disk.length();
        const unsigned share =
            cut % 3 == 0 ? 0 : static_cast<unsigned>(random() % 100);  // of unflushed writes that survive
        disk.replay(at, directory, after, [&] { return random() % 100 < share; });
        const auto sent = read(after + "/app.db", "select message_id from outbox");
        const auto published = read(after + "/broker.db", "select message_id from message");
        const auto applied = read(after + "/effects.db", "select message_id from inbox where state = 0");
        const auto known =
            read(after + "/effects.db", "select message_id from inbox union select message_id from txm_parked");
        for (const std::string& promise : disk.promises_before(at)) {
            const std::string id = promise.substr(promise.find(' ') + 1);
            if (promise.starts_with("committed") || promise.starts_with("handed"))
                ASSERT_TRUE(sent.contains(id)) << promise << ", cut at " << at;
            else if (promise.starts_with("applied"))
                ASSERT_TRUE(applied.contains(id)) << promise << ", cut at " << at;
            else
                ASSERT_TRUE(published.contains(id)) << promise << ", cut at " << at;
        }
        // What will not be delivered again took effect, or is a dead letter, or is parked.
        for (const std::string& id : read(after + "/broker.db", settled))
            ASSERT_TRUE(known.contains(id)) << id << " is settled, cut at " << at;
    }
    std::filesystem::remove_all(std::filesystem::path(directory).parent_path());
}

INSTANTIATE_TEST_SUITE_P(Writers, PowerCut, testing::Values(sqlite::Synchronous::full, sqlite::Synchronous::normal),
                         [](const auto& param) {
                             return param.param == sqlite::Synchronous::full ? "Full" : "Normal";
                         });

TEST(FailingFlush, WhatTheBrokerCouldNotFlushIsNotAcknowledgedAndComesOnce) {
    const std::string directory = scratch("failing"), after = scratch("after");
    const std::string file = directory + "/broker.db";
    RecordedDisk disk;
    std::vector<StoredMessage> messages(3);
    for (StoredMessage& message : messages) {
        message.message_id = new_uuid();
        message.topic = "events";
        message.aggregate_id = "aggregate-1";
    }
    {
        local::Publisher broker{file};
        for (std::size_t i = 0; i < messages.size(); ++i) {
            if (i == 1) {
                // The first batch begins a purge behind it, whose flush must not be the one that fails.
                while (read(file, "select value from broker_meta where key = 'purged_at' and value > 0").empty())
                    std::this_thread::yield();
                disk.fail_next_flush(file + "-wal");
            }
            bool is_acknowledged = false;
            for (int tries = 1; !is_acknowledged; ++tries) {
                PublishBatch batch{std::span{messages}.subspan(i, 1)};
                try {
                    sync_wait(broker.publish(batch));
                } catch (const Error& e) {
                    EXPECT_EQ(e.code(), Errc::broker_unavailable);
                }
                is_acknowledged = batch.report(0) == PublishBatch::Report::acknowledged;
                EXPECT_EQ(is_acknowledged, i != 1 || tries > 1);
            }
            disk.note("acknowledged " + messages[i].message_id.to_string());
        }
    }
    for (std::size_t at = 0; at <= disk.length(); ++at) {
        disk.replay(at, directory, after, [] { return false; });
        const auto published = read(after + "/broker.db", "select message_id from message");
        for (const std::string& promise : disk.promises_before(at))
            ASSERT_TRUE(published.contains(promise.substr(promise.find(' ') + 1))) << promise << ", cut at " << at;
    }
    local::Subscription subscription{file, {"events"}, local::SubscriptionOptions{"billing"}};
    sync_wait(subscription.drain());
    EXPECT_EQ(sync_wait(subscription.receive(10)).size(), 3U);
    std::filesystem::remove_all(std::filesystem::path(directory).parent_path());
}

}  // namespace
