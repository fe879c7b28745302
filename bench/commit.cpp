// publish + commit against the same inserts through SQLite's C interface.
#include "commit.hpp"

#include "measure.hpp"
#include "raw.hpp"

#include "txm/sqlite.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <unistd.h>
#include <filesystem>
#include <iostream>

namespace txm::bench {
namespace {

constexpr int rounds = 15;

struct OrderCreated {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    std::string aggregate_id{};
    std::string body{};
    Timestamp created_at = now();
    const std::string& serialize() const { return body; }
};

const TopicMap topics{topic<OrderCreated>("orders", "order-created")};
const std::string payload =
    R"({"order_id":"1f0c7a4e-0000-4000-8000-000000000000","total_cents":12345,"currency":"EUR"})";

std::string fresh(const std::string& directory, const std::string& name) {
    const std::string path = directory + "/" + name;
    for (const char* suffix : {"", "-wal", "-shm", "-txm-wake", "-txm-lock"})
        std::filesystem::remove(path + suffix);
    {
        Raw db{path};
        db.execute(sqlite::outbox_schema().c_str());
        db.execute(orders_schema);
    }
    ::sync();  // else the first flushes of the next round write what removing the last one's files left to do
    return path;
}

double raw_round(const std::string& directory, int commits) {
    Raw db{fresh(directory, "raw.db")};
    sqlite3_stmt *begin = db.prepare("begin immediate"), *commit = db.prepare("commit"),
                 *order = db.prepare(insert_order), *message = db.prepare(insert_message);
    const std::string topic = "orders", type = "order-created", headers = "{}";
    return seconds([&] {
        for (int i = 0; i < commits; ++i) {
            const std::string id = new_uuid().to_string(), customer = "customer-" + std::to_string(i % 100),
                              time = to_iso8601(now());
            run(begin);
            bind(order, 1, i);
            bind(order, 2, customer);
            bind(order, 3, std::int64_t{12345});
            run(order);
            bind(message, 1, id);
            bind(message, 2, topic);
            bind(message, 3, type);
            bind(message, 4, customer);
            bind(message, 5, id);
            bind(message, 6, payload);
            bind(message, 7, headers);
            bind(message, 8, time);
            bind(message, 9, time);
            run(message);
            run(commit);
        }
    });
}

awaitable<void> publish(sqlite::Database& db, int from, int to) {
    for (int i = from; i < to; ++i) {
        sqlite::Session session{db};
        sqlite::OutboxRepository outbox{"outbox", session, topics};
        OrderCreated event;
        event.aggregate_id = "customer-" + std::to_string(i % 100);
        event.body = payload;
        session.add(insert_order, i, event.aggregate_id, 12345);
        outbox.publish(event);
        co_await session.commit();
    }
}

double blocking_round(const std::string& directory, int commits) {
    sqlite::Database db{fresh(directory, "txm.db")};
    return seconds([&] { sync_wait(publish(db, 0, commits)); });
}

double asio_round(const std::string& directory, int commits, int sessions) {
    sqlite::Database db{fresh(directory, "txm.db")};
    return seconds([&] {
        boost::asio::io_context context{1};
        for (int i = 0; i < sessions; ++i)
            boost::asio::co_spawn(context, publish(db, i * (commits / sessions), (i + 1) * (commits / sessions)),
                                  [](std::exception_ptr error) {
                                      if (error)
                                          std::rethrow_exception(error);
                                  });
        context.run();
    });
}

}  // namespace

void measure_commits(const std::string& directory) {
    std::vector<double> blocking, single, many, raw_rate, many_rate;
    const int commits = static_cast<int>(scaled(1500) / 64 * 64);
    for (int i = 0; i < rounds; ++i) {
        // The one first and the other, in turns: what the first one leaves to the disk slows the second.
        const double before = i % 2 == 0 ? raw_round(directory, commits) : 0;
        const double mine = blocking_round(directory, commits);
        const double raw = i % 2 == 0 ? before : raw_round(directory, commits);
        blocking.push_back(raw / mine);
        single.push_back(raw_round(directory, commits) / asio_round(directory, commits, 1));
        const double crowd = asio_round(directory, commits * 8, 64) / 8;
        many.push_back(raw_round(directory, commits) / crowd);
        raw_rate.push_back(commits / raw);
        many_rate.push_back(commits / crowd);
        std::cerr << "commits: round " << i + 1 << " of " << rounds << '\n';
    }
    const Spread one = spread(blocking), coroutine = spread(single), crowd = spread(many);
    report("publish+commit, one at a time, in a blocking program", ratio(one) + " x raw", ">= 0.95 x raw",
           one.median >= 0.95);
    report("publish+commit, one at a time, in an io_context", ratio(coroutine) + " x raw", "(the writer's thread)",
           true);
    report("publish+commit, 64 sessions at once", ratio(crowd) + " x raw", ">= 5 x raw", crowd.median >= 5);
    std::cout << "    raw: " << number(spread(raw_rate).median)
              << " commits/s, 64 sessions: " << number(spread(many_rate).median)
              << " commits/s, each an order and a message\n";
}

}  // namespace txm::bench
