// The relay from DynamoDB Local's stream to a queue that takes everything: DynamoDB Local is what it waits for.
#include "streams.hpp"

#include "bare_curl.hpp"
#include "http_server.hpp"
#include "measure.hpp"

#include "txm/dynamodb.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <thread>

namespace txm::bench {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

constexpr std::size_t in_a_commit = 45;
constexpr std::size_t writers = 8;
constexpr std::size_t aggregates = 1'000;

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    return address;
}

/// DynamoDB Local with nothing in it. Killed with this object.
class DynamoDbLocal {
public:
    DynamoDbLocal(const std::string& serve, const std::string& log) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address = loopback(0);
        socklen_t size = sizeof address;
        ::bind(fd, reinterpret_cast<sockaddr*>(&address), size);
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
        ::close(fd);
        port_ = ntohs(address.sin_port);
        process_ = start({serve, "dynamodb", std::to_string(port_)}, log);
        while (!answers()) {
            if (::waitpid(process_, nullptr, WNOHANG) != 0)
                throw std::runtime_error("DynamoDB Local does not start; see " + log);
            std::this_thread::sleep_for(50ms);
        }
    }
    ~DynamoDbLocal() {
        ::kill(process_, SIGKILL);
        ::waitpid(process_, nullptr, 0);
    }
    DynamoDbLocal(const DynamoDbLocal&) = delete;
    DynamoDbLocal& operator=(const DynamoDbLocal&) = delete;

    std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(port_); }

private:
    bool answers() const {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const sockaddr_in address = loopback(port_);
        const bool is_there = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        ::close(fd);
        return is_there;
    }

    int port_ = 0;
    pid_t process_ = -1;
};

/// SQS as far as a publisher needs it: it has every queue, and takes every message.
std::string take_everything(std::string_view request) {
    if (request.find("\"Entries\"") == std::string_view::npos)
        return R"({"QueueUrl":"http://queue/orders.fifo","Attributes":{"FifoQueue":"true"}})";
    std::string answer = R"({"Successful":[)";
    constexpr std::string_view id = R"({"Id":")";
    for (std::size_t at = request.find(id); at != std::string_view::npos; at = request.find(id, at)) {
        at += id.size();
        if (answer.back() != '[')
            answer += ',';
        answer.append(id).append(request.substr(at, request.find('"', at) - at)).append(R"("})");
    }
    return answer + "]}";
}

// A writer has aggregates of its own: two of them would wait for each other at the counter of one.
awaitable<void> write_messages(dynamodb::Database& db, std::string writer, std::size_t count) {
    for (std::size_t done = 0; done < count;) {
        dynamodb::Session session{db};
        dynamodb::OutboxRepository outbox{"outbox", session, TopicMap{}};
        std::vector<StoredMessage> messages(std::min(in_a_commit, count - done));
        for (StoredMessage& message : messages) {
            message.message_id = new_uuid();
            message.topic = "orders";
            message.aggregate_id = AggregateId(writer + std::to_string(done++ % (aggregates / writers)));
            message.payload = std::string(900, 'x');
        }
        outbox.publish(messages);
        co_await session.commit();
    }
}

void fill(dynamodb::Database& db, std::size_t count) {
    boost::asio::io_context context{1};
    for (std::size_t i = 0; i < writers; ++i) {
        boost::asio::co_spawn(context, write_messages(db, "customer-" + std::to_string(i) + "-", count / writers),
                              [](std::exception_ptr failure) {
                                  if (failure)
                                      std::rethrow_exception(failure);
                              });
    }
    context.run();
}

struct Run {
    Usage usage;
    std::size_t requests = 0, most_at_once = 0;
};

/// Carries a backlog. @param delay of the queue's answers
Run relay_round(const std::string& directory, const std::string& txm, const std::string& serve, std::size_t count,
                std::chrono::milliseconds delay) {
    const DynamoDbLocal local{serve, directory + "/dynamodb.log"};
    const HttpServer sqs{take_everything, delay};
    dynamodb::DatabaseOptions options;
    options.client.region = aws_region;
    options.client.endpoint = local.endpoint();
    options.client.credentials = aws::Credentials(aws_key, aws_secret);
    dynamodb::Database db{options};
    sync_wait(dynamodb::create_outbox_table(db));
    sync_wait(dynamodb::create_inbox_table(db));
    fill(db, count);
    const std::string log = directory + "/streams-relay.log", region = aws_region;
    Run result;
    result.usage =
        run({txm, "relay", "--drain", "--store", "dynamodb://" + region + "/outbox?endpoint=" + local.endpoint(),
             "--broker", "sqs://" + region + "/?fifo=true&endpoint=" + sqs.endpoint()},
            log);
    if (result.usage.exit_code != 0)
        throw std::runtime_error("txm relay failed; see " + log);
    result.requests = sqs.requests();
    result.most_at_once = sqs.most_at_once();
    return result;
}

}  // namespace

void measure_streams(const std::string& directory, const std::string& txm, const std::string& serve) {
    ::setenv("AWS_ACCESS_KEY_ID", aws_key, 1);
    ::setenv("AWS_SECRET_ACCESS_KEY", aws_secret, 1);
    const auto most = static_cast<std::size_t>(scaled(100'000));
    for (const std::size_t count : {most / 10, most}) {
        const Run run = relay_round(directory, txm, serve, count, 0ms);
        report("relay, DynamoDB Streams -> SQS, resident, backlog " + std::to_string(count),
               number(run.usage.resident_mib * 1.048576, 1) + " MB", "<= 40 MB",
               run.usage.resident_mib * 1.048576 <= 40);
        std::cout << "    " << number(static_cast<double>(count) / run.usage.wall) << " msg/s, "
                  << number(run.usage.cpu / static_cast<double>(count) * 1e6) << " us CPU a message, "
                  << number(static_cast<double>(count) / static_cast<double>(run.requests), 1)
                  << " messages a request\n";
    }
    const Run run = relay_round(directory, txm, serve, most / 10, 50ms);
    report("the same, a queue that answers after 50 ms: requests at once", std::to_string(run.most_at_once), ">= 16",
           run.most_at_once >= 16);
    std::cout << "    " << number(static_cast<double>(most) / 10 / run.usage.wall)
              << " msg/s; one request after the other would be at most 200\n";
}

}  // namespace txm::bench
