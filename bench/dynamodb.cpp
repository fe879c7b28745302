// What a transaction costs this process's CPU against libcurl sending the same bytes.
#include "dynamodb.hpp"

#include "bare_curl.hpp"
#include "http_server.hpp"
#include "measure.hpp"

#include "stores/dynamodb/database_impl.hpp"
#include "txm/dynamodb.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <sys/resource.h>

#include <exception>

namespace txm::bench {
namespace {

using boost::asio::awaitable;

constexpr int rounds = 15;
constexpr int concurrency = 32;

struct OrderCreated {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    std::string aggregate_id{};
    Timestamp created_at = now();
    std::string serialize() const {
        return R"({"order_id":"1f0c7a4e-0000-4000-8000-000000000000","total_cents":12345,"currency":"EUR"})";
    }
};

const TopicMap topics{topic<OrderCreated>("orders", "order-created")};

/// What an application does with a message: its inbox row, a row of the application, and the next message.
awaitable<void> commit(dynamodb::Database& db, int number) {
    dynamodb::Session session{db};
    dynamodb::InboxRepository inbox{"inbox", session};
    dynamodb::OutboxRepository outbox{"outbox", session, topics};
    inbox.save(Incoming{new_uuid()});
    session.put("orders", {{"PK", "ORDER#" + std::to_string(number)}, {"customer", "customer-17"}, {"cents", 12345}});
    OrderCreated event;
    event.aggregate_id = "customer-" + std::to_string(number % 100);
    outbox.publish(event);
    co_await session.commit();
}

awaitable<void> commit_each(dynamodb::Database& db, int from, int to) {
    for (int i = from; i < to; ++i)
        co_await commit(db, i);
}

/// Microseconds of this process's CPU, of all its threads, that each of `requests` took.
template <class Work>
double cpu_each(int requests, const Work& work) {
    const auto used = [] {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
               static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    };
    const double before = used();
    work();
    return (used() - before) / requests;
}

void one_by_one(dynamodb::Database& db, int commits) {
    for (int i = 0; i < commits; ++i)
        sync_wait(commit(db, i));
}

void at_once(dynamodb::Database& db, int commits) {
    boost::asio::io_context context{1};
    const int each = commits / concurrency;
    for (int i = 0; i < concurrency; ++i)
        boost::asio::co_spawn(context, commit_each(db, i * each, (i + 1) * each), [](std::exception_ptr failure) {
            if (failure)
                std::rethrow_exception(failure);
        });
    context.run();
}

struct Cost {
    std::vector<double> txm, bare, ratios;

    void add(double ours, double theirs) {
        txm.push_back(ours);
        bare.push_back(theirs);
        ratios.push_back(ours / theirs);
    }
    std::string text() const {
        return ratio(spread(ratios)) + ", " + number(spread(txm).median, 1) + " and " + number(spread(bare).median, 1) +
               " µs";
    }
    double median() const { return spread(ratios).median; }
};

}  // namespace

void measure_dynamodb() {
    const HttpServer server;
    dynamodb::DatabaseOptions options;
    options.client.region = aws_region;
    options.client.endpoint = server.endpoint();
    options.client.credentials = aws::Credentials(aws_key, aws_secret);
    dynamodb::Database db{options};

    const int commits = static_cast<int>(scaled(6400));
    one_by_one(db, commits / 10);
    const BareCurl bare(server.endpoint(), "DynamoDB_20120810.TransactWriteItems", server.last_body());
    Cost alone;
    for (int i = 0; i < rounds; ++i) {
        const double theirs = cpu_each(commits, [&] { bare.one_by_one(commits); });
        alone.add(cpu_each(commits, [&] { one_by_one(db, commits); }), theirs);
    }
    report("DynamoDB publish+commit, CPU, x libcurl, the same bytes", alone.text(), "at most 1.3",
           alone.median() <= 1.3);

    at_once(db, commits);
    Cost together;
    for (int i = 0; i < rounds; ++i) {
        const double theirs = cpu_each(commits, [&] { bare.at_once(commits, concurrency); });
        together.add(cpu_each(commits, [&] { at_once(db, commits); }), theirs);
    }
    report("32 sessions at once on one thread, x libcurl and epoll", together.text(), "at most 1.5",
           together.median() <= 1.5);
    const std::uint64_t connects = db.impl().client.connects();
    report("the connections that all of these opened", std::to_string(connects), "at most 32", connects <= concurrency);
}

}  // namespace txm::bench
