#include "fault/process.hpp"
#include "fault/world.hpp"
#include "support/server.hpp"
#include "support/unreliable_proxy.hpp"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <set>

namespace txm::fault_test {
namespace {

test::Accidents accidents() {
    test::Accidents some;
    some.cut_request = some.lose_answer = some.truncate = some.duplicate = some.repeat_answer = 4;
    some.throttle = some.internal_error = 6;
    some.delay = 10;
    return some;
}

struct Line {
    std::string what, message_id, aggregate_id;
};

std::vector<Line> lines_of(const std::string& file) {
    std::vector<Line> result;
    std::ifstream in{file};
    for (Line line; in >> line.what >> line.message_id >> line.aggregate_id;)
        result.push_back(line);
    return result;
}

std::vector<std::string> operator+(std::vector<std::string> command, const std::vector<std::string>& more) {
    command.insert(command.end(), more.begin(), more.end());
    return command;
}

}  // namespace

struct CloudWorld::Servers {
    test::Server dynamodb{"dynamodb"}, sns{"fauxqs"};
    test::UnreliableProxy to_dynamodb{dynamodb.port(), accidents()}, to_sns{sns.port(), accidents()};
    std::optional<Process> observer;  ///< a queue of its own shows what the broker acknowledged
};

CloudWorld::CloudWorld(std::filesystem::path directory, std::filesystem::path binaries)
    : World(std::move(directory), std::move(binaries)) {}

CloudWorld::~CloudWorld() = default;

std::string CloudWorld::store_url(const std::string& endpoint) const {
    return "dynamodb://eu-west-1/outbox?inbox=inbox&lease_term=3s&poll_interval=50ms&endpoint=" + endpoint;
}

std::string CloudWorld::broker_url(const std::string& endpoint) const {
    return "sns://eu-west-1/?fifo=true&visibility=2s&wait=1s&endpoint=" + endpoint;
}

void CloudWorld::create() {
    ::setenv("AWS_ACCESS_KEY_ID", "test", 1);
    ::setenv("AWS_SECRET_ACCESS_KEY", "test", 1);
    servers_ = std::make_unique<Servers>();
    const std::string dynamodb = servers_->dynamodb.endpoint(), sns = servers_->sns.endpoint();
    run({binary("txm"), "migrate", "--store", store_url(dynamodb), "--broker", broker_url(sns), "--topic", "events",
         "--consumer", "judge", "--consumer", "observer"});
    run({binary("fault_cloud"), "create", path(""), dynamodb});
    std::ofstream{path("txm.toml")} << "[relay]\nbackoff = \"5ms\"\nmax_backoff = \"50ms\"\npark_after = \"50ms\"\n";
    const std::vector<std::string> observe{binary("txm"), "consume",    "--broker", broker_url(sns), "--topic",
                                           "events",      "--consumer", "observer", "--print"};
    servers_->observer.emplace(observe, std::map<std::string, std::string>{{"TXM_FAULT", ""}}, path("observer.log"),
                               path("acknowledged"));
}

std::vector<std::string> CloudWorld::relay_command(bool is_reliable) const {
    const std::string dynamodb = is_reliable ? servers_->dynamodb.endpoint() : servers_->to_dynamodb.endpoint(),
                      sns = is_reliable ? servers_->sns.endpoint() : servers_->to_sns.endpoint();
    return {binary("txm"),       "relay",    "--config",     path("txm.toml"), "--store",
            store_url(dynamodb), "--broker", broker_url(sns)};
}

std::vector<std::string> CloudWorld::consumer_command(bool is_reliable) const {
    const std::string dynamodb = is_reliable ? servers_->dynamodb.endpoint() : servers_->to_dynamodb.endpoint(),
                      sns = is_reliable ? servers_->sns.endpoint() : servers_->to_sns.endpoint();
    return {binary("fault_cloud"), "consumer", path(""), dynamodb, sns};
}

std::vector<Role> CloudWorld::roles() const {
    const Role app{"app", {binary("fault_cloud"), "app", path(""), servers_->to_dynamodb.endpoint()}},
        relay{"relay", relay_command(false)}, consumer{"consumer", consumer_command(false)},
        replay{"operator",
               {binary("txm"), "messages", "replay", "--inbox", "--consumer", "judge", "--store",
                store_url(servers_->dynamodb.endpoint()), "--state", "dead", "--limit", "3", "--yes"},
               {},
               true};
    return {app, relay, relay, consumer, consumer, replay};
}

bool CloudWorld::has_message_in_flight() const {
    Process process{{binary("fault_cloud"), "pending", path(""), servers_->dynamodb.endpoint()},
                    {{"TXM_FAULT", ""}},
                    path("pending.log")};
    return process.wait().code == 0;
}

History CloudWorld::observe() const {
    auto acknowledgements = printed_events(path("acknowledged"));
    History history;
    read_told(history);
    const std::string file = path("observed");
    std::filesystem::remove(file);
    run({binary("fault_cloud"), "observe", path(""), servers_->dynamodb.endpoint()}, {0}, file);
    std::set<std::string> before, after, committed;
    for (const Line& line : lines_of(file)) {
        const Event event{line.message_id, line.aggregate_id};
        if (line.what == "effect")
            history.effects.push_back(event);
        else if (line.what == "dead")
            history.dead.insert(line.message_id);
        else if (line.what == "commit") {
            history.commits.push_back(event);
            committed.insert(line.message_id);
        } else
            (line.what == "before" ? before : after).insert(line.message_id);
    }
    // A message without its data, or data without its message: the transaction was torn.
    for (const std::string& id : committed)
        if (!after.contains(id))
            history.refused.insert(id);
    for (const std::string& id : before)
        if (!committed.contains(id))
            history.confirmed.insert(id);
    history.acknowledgements = std::move(acknowledgements);
    excuse_dead(history);
    return history;
}

void CloudWorld::finish() {
    const std::string store = store_url(servers_->dynamodb.endpoint());
    drain(relay_command(true), store);
    run(consumer_command(true) + std::vector<std::string>{"--drain"}, {0, 1});
    run({binary("txm"), "messages", "replay", "--inbox", "--consumer", "judge", "--store", store, "--state", "dead",
         "--yes"});
    run(consumer_command(true) + std::vector<std::string>{"--drain"});
    // The observer has seen what the judge has: its own queue is as short.
    servers_->observer->signal(SIGTERM);
    servers_->observer->wait();
    servers_->observer.reset();
    run({binary("txm"), "consume", "--broker", broker_url(servers_->sns.endpoint()), "--topic", "events", "--consumer",
         "observer", "--print", "--drain"},
        {0}, path("acknowledged"));
}

}  // namespace txm::fault_test
