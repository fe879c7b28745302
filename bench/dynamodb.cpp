// What a transaction costs this process's CPU against libcurl sending the same bytes.
#include "dynamodb.hpp"

#include "bare_curl.hpp"
#include "http_server.hpp"
#include "measure.hpp"

#include "aws/client.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <sys/resource.h>

#include <exception>

namespace txm::bench {
namespace {

constexpr int rounds = 15;
constexpr int concurrency = 32;

constexpr const char* action = "DynamoDB_20120810.TransactWriteItems";

// An inbox row, a row of the application and a message, as a session commits them.
constexpr const char* body =
    R"j({"ClientRequestToken":"0193b5f0-6f1e-7c3a-9d64-2f1f6a0b7c11","TransactItems":[)j"
    R"j({"Put":{"TableName":"inbox","Item":{"PK":{"S":"MESSAGE#0193b5f0-6f1e-7c3a-9d64-2f1f6a0b7c12"},)j"
    R"j("MessageId":{"S":"0193b5f0-6f1e-7c3a-9d64-2f1f6a0b7c12"},)j"
    R"j("CreatedAt":{"S":"2026-11-24T12:00:00.123456+00:00"}},"ConditionExpression":"attribute_not_exists(PK)"}},)j"
    R"j({"Put":{"TableName":"orders","Item":{"PK":{"S":"ORDER#1f0c7a4e-0000-4000-8000-000000000000"},)j"
    R"j("Customer":{"S":"customer-17"},"Cents":{"N":"12345"}},"ConditionExpression":"attribute_not_exists(PK)"}},)j"
    R"j({"Put":{"TableName":"outbox","Item":{"PK":{"S":"MESSAGE#0193b5f0-6f1e-7c3a-9d64-2f1f6a0b7c13"},)j"
    R"j("MessageId":{"S":"0193b5f0-6f1e-7c3a-9d64-2f1f6a0b7c13"},)j"
    R"j("AggregateId":{"S":"1f0c7a4e-0000-4000-8000-000000000000"},)j"
    R"j("CorrelationId":{"S":"0193b5f0-6f1e-7c3a-9d64-2f1f6a0b7c12"},"Topic":{"S":"orders"},)j"
    R"j("Message":{"S":"{\"order_id\":\"1f0c7a4e-0000-4000-8000-000000000000\",\"total_cents\":12345}"},)j"
    R"j("CreatedAt":{"S":"2026-11-24T12:00:00.123456+00:00"},"ApproximateDispatchCount":{"N":"0"},)j"
    R"j("IsDispatched":{"BOOL":false},"NotDispatched":{"S":"x"}},"ConditionExpression":"attribute_not_exists(PK)"}}]})j";

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

boost::asio::awaitable<void> commit_each(aws::Client& client, int count) {
    for (int i = 0; i < count; ++i)
        co_await client.call(action, body);
}

void one_by_one(aws::Client& client, int requests) {
    for (int i = 0; i < requests; ++i)
        sync_wait(client.call(action, body));
}

void at_once(aws::Client& client, int requests) {
    boost::asio::io_context context{1};
    for (int i = 0; i < concurrency; ++i)
        boost::asio::co_spawn(context, commit_each(client, requests / concurrency), [](std::exception_ptr failure) {
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
    const BareCurl bare(server.endpoint(), action, body);
    aws::ClientOptions options(aws_region);
    options.endpoint = server.endpoint();
    options.credentials = aws::Credentials(aws_key, aws_secret);
    aws::Client client(options, {"dynamodb", "dynamodb"});

    const int requests = static_cast<int>(scaled(6400));
    one_by_one(client, requests / 10);
    Cost alone;
    for (int i = 0; i < rounds; ++i) {
        const double theirs = cpu_each(requests, [&] { bare.one_by_one(requests); });
        alone.add(cpu_each(requests, [&] { one_by_one(client, requests); }), theirs);
    }
    report("DynamoDB commit, CPU, x libcurl with its signature", alone.text(), "at most 1.3", alone.median() <= 1.3);

    at_once(client, requests);
    Cost together;
    for (int i = 0; i < rounds; ++i) {
        const double theirs = cpu_each(requests, [&] { bare.at_once(requests, concurrency); });
        together.add(cpu_each(requests, [&] { at_once(client, requests); }), theirs);
    }
    report("the same, 32 at once on one thread, x libcurl and epoll", together.text(), "at most 1.5",
           together.median() <= 1.5);
    report("the connections that all of these opened", std::to_string(client.connects()), "at most 32",
           client.connects() <= concurrency);
}

}  // namespace txm::bench
