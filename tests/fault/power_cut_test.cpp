#include "fault/power.hpp"

#include "txm/local.hpp"
#include "txm/relay.hpp"
#include "txm/sqlite.hpp"
#include "txm/sqlite_feed.hpp"
#include "txm/sync_wait.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>
#include <sqlite3.h>
#include <thread>

namespace {

using namespace txm;
using fault_test::RecordedDisk;

struct Happened {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    std::string aggregate_id{};
    Timestamp created_at = now();
    std::string serialize() const {
        return "{}";
    }
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
    bool gapless() const noexcept override {
        return broker_.gapless();
    }

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

bool has(const std::string& database, const char* table, const std::string& message_id) {
    sqlite3* db = nullptr;
    sqlite3_open_v2(database.c_str(), &db, SQLITE_OPEN_READWRITE, "unix");
    sqlite3_stmt* statement = nullptr;
    bool found = false;
    if (sqlite3_prepare_v2(db, (std::string("select 1 from ") + table + " where message_id = ?").c_str(), -1, &statement, nullptr) ==
        SQLITE_OK) {
        sqlite3_bind_text(statement, 1, message_id.c_str(), -1, SQLITE_TRANSIENT);
        found = sqlite3_step(statement) == SQLITE_ROW;
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return found;
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
        // With synchronous=NORMAL a commit promises nothing about power; what the relay hands on is flushed all the same.
        sync_wait(publish_some(db, disk, 150, GetParam() == sqlite::Synchronous::full));
        while (relay.statistics().dispatched < 150)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        relay.stop();
        running.join();
    }
    std::minstd_rand random{7};
    for (int cut = 0; cut < 60; ++cut) {
        const std::size_t at = random() % disk.length();
        const unsigned share = cut % 3 == 0 ? 0 : static_cast<unsigned>(random() % 100);  // of unflushed writes that survive
        disk.replay(at, directory, after, [&] { return random() % 100 < share; });
        for (const std::string& promise : disk.promises_before(at)) {
            const std::string id = promise.substr(promise.find(' ') + 1);
            if (promise.starts_with("committed") || promise.starts_with("handed"))
                ASSERT_TRUE(has(after + "/app.db", "outbox", id)) << promise << ", cut at " << at;
            else
                ASSERT_TRUE(has(after + "/broker.db", "message", id)) << promise << ", cut at " << at;
        }
    }
    std::filesystem::remove_all(std::filesystem::path(directory).parent_path());
}

INSTANTIATE_TEST_SUITE_P(Writers, PowerCut, testing::Values(sqlite::Synchronous::full, sqlite::Synchronous::normal),
                         [](const auto& param) { return param.param == sqlite::Synchronous::full ? "Full" : "Normal"; });

}  // namespace
