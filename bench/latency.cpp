// From the application's commit to the commit of the handler, through three processes, all of it durable.
#include "latency.hpp"

#include "measure.hpp"
#include "raw.hpp"

#include "txm/consumer.hpp"
#include "txm/local.hpp"
#include "txm/sqlite.hpp"
#include "txm/sqlite_feed.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <memory>
#include <thread>

namespace txm::bench {
namespace {

namespace asio = boost::asio;

constexpr int messages = 12'000, warm_up = 2'000, per_second = 1'000;

struct Times {
    std::atomic<std::int64_t> ready, handled;
    std::atomic<std::int64_t> committed[messages], effect[messages];
};

Times& map_times(const std::string& directory) {
    const int fd = ::open((directory + "/times").c_str(), O_RDWR | O_CREAT, 0644);
    if (fd < 0 || ::ftruncate(fd, sizeof(Times)) != 0)
        throw std::runtime_error("cannot make the file of times");
    void* memory = ::mmap(nullptr, sizeof(Times), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    return *static_cast<Times*>(memory);
}

std::int64_t monotonic_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

struct Tick {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    std::string aggregate_id{};
    int number = 0;
    Timestamp created_at = now();
    std::string serialize() const { return std::to_string(number); }
    static Tick deserialize(std::string_view text) {
        Tick tick;
        tick.number = std::stoi(std::string(text));
        return tick;
    }
};

const TopicMap topics{topic<Tick>("ticks", "tick")};

class Effects final : public UnitOfWork {
public:
    Effects(sqlite::Database& db, const Incoming& incoming) : UnitOfWork(incoming), session_(db) {}
    sqlite::InboxRepository& inbox() override { return inbox_; }
    sqlite::Session& session() override { return session_; }

private:
    sqlite::Session session_;
    sqlite::InboxRepository inbox_{"inbox", session_};
};

awaitable<void> publish_one(sqlite::Database& db, Times& times, int number) {
    sqlite::Session session{db};
    sqlite::OutboxRepository outbox{"outbox", session, topics};
    Tick tick;
    tick.aggregate_id = "aggregate-" + std::to_string(number % 200);
    tick.number = number;
    session.add(insert_order, number, tick.aggregate_id, 1);
    outbox.publish(tick);
    co_await session.commit();
    times.committed[number] = monotonic_ns();
}

awaitable<void> publish_all(sqlite::Database& db, Times& times) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer{executor};
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < messages; ++i) {
        timer.expires_at(begin + std::chrono::microseconds(1'000'000LL * i / per_second));
        co_await timer.async_wait(asio::use_awaitable);
        asio::co_spawn(executor, publish_one(db, times, i), [](std::exception_ptr error) {
            if (error)
                std::rethrow_exception(error);
        });
    }
}

awaitable<void> handle(Effects& uow, Times& times, const Tick& tick) {
    uow.session().add("insert into effect (number) values (?)", tick.number);
    co_await uow.commit();
    times.effect[tick.number] = monotonic_ns();
    ++times.handled;
}

}  // namespace

int latency_application(const std::string& directory) {
    Times& times = map_times(directory);
    sqlite::Database db{directory + "/orders.db"};
    asio::io_context context{1};
    asio::co_spawn(context, publish_all(db, times), [](std::exception_ptr error) {
        if (error)
            std::rethrow_exception(error);
    });
    context.run();
    return 0;
}

int latency_consumer(const std::string& directory) {
    Times& times = map_times(directory);
    sqlite::Database db{directory + "/effects.db"};
    sqlite::ConsumerStore store{db, "bench"};
    local::Subscription subscription{directory + "/broker.db", {"ticks"}, local::SubscriptionOptions{"bench"}};
    Consumer<Effects> consumer{store, subscription, ConsumerOptions{"bench"},
                               [&](const Incoming& incoming) { return std::make_unique<Effects>(db, incoming); }};
    consumer.on<Tick>(topics, [&](Effects& uow, const Tick& tick) { return handle(uow, times, tick); });
    asio::io_context context{1};
    asio::signal_set signals{context, SIGTERM};
    signals.async_wait([&](boost::system::error_code, int) { consumer.stop(); });
    asio::co_spawn(context, consumer.run(), [&](std::exception_ptr error) {
        signals.cancel();
        if (error)
            std::rethrow_exception(error);
    });
    times.ready = 1;
    context.run();
    return 0;
}

void measure_latency(const std::string& directory, const std::string& program, const std::string& txm) {
    for (const auto& entry : std::filesystem::directory_iterator(directory))
        std::filesystem::remove(entry.path());
    {
        sqlite::Database orders{directory + "/orders.db"}, effects{directory + "/effects.db"};
        sync_wait(sqlite::create_outbox_table(orders));
        sync_wait(sqlite::create_inbox_table(effects));
        Raw{directory + "/orders.db"}.execute(orders_schema);
        Raw{directory + "/effects.db"}.execute("create table effect (number integer primary key)");
    }
    Times& times = map_times(directory);
    const pid_t consumer = start({program, "latency-consumer", directory}, directory + "/consumer.log");
    const pid_t relay = start({txm, "relay", "--store", "sqlite:" + directory + "/orders.db", "--broker",
                               "local:" + directory + "/broker.db"},
                              directory + "/relay.log");
    const pid_t application = start({program, "latency-application", directory}, directory + "/application.log");
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(90);
    // The disk is timed while the messages flow, now and then, so that both meet the same conditions.
    std::vector<double> flushes;
    while (times.handled < messages && std::chrono::steady_clock::now() < limit) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        flushes.push_back(fdatasync_seconds(directory));
    }
    double cpu[3] = {};
    const pid_t children[3] = {application, relay, consumer};
    for (int i = 0; i < 3; ++i) {
        ::kill(children[i], SIGTERM);
        cpu[i] = wait_for(children[i]).cpu / messages * 1e6;
    }
    const double flush = percentile(flushes, 0.5);
    if (times.handled < messages)
        throw std::runtime_error("only " + std::to_string(times.handled) + " messages took effect; see " + directory +
                                 "/*.log");

    std::vector<double> latencies;
    for (int i = warm_up; i < messages; ++i)
        latencies.push_back(static_cast<double>(times.effect[i] - times.committed[i]) / 1e9);
    const double p50 = percentile(latencies, 0.5), p99 = percentile(latencies, 0.99);
    report("commit -> handler's commit, p50, 1,000 msg/s, 3 processes", number(p50 / flush, 1) + " x fdatasync",
           "<= 12 x", p50 <= 12 * flush);
    report("commit -> handler's commit, p99", number(p99 / flush, 1) + " x fdatasync", "<= 40 x", p99 <= 40 * flush);
    std::cout << "    p50 " << number(p50 * 1e6) << " us, p99 " << number(p99 * 1e6) << " us, fdatasync of 4 kB "
              << number(flush * 1e6) << " us; CPU a message: application " << number(cpu[0]) << " us, relay "
              << number(cpu[1]) << " us, consumer " << number(cpu[2]) << " us\n";
}

}  // namespace txm::bench
