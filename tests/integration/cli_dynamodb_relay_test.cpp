#include "integration/cli_aws.hpp"

#include "support/fake_http.hpp"
#include "support/sanitizer.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>

#include <sys/wait.h>

namespace txm::cli_test {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using test::HttpAnswer;
using test::is_sanitized;

/// SQS with a FIFO queue for every topic but `nowhere`. It remembers what it acknowledged, in that order.
class FakeSqs {
public:
    /// No answer before so many requests are there at the same time.
    void answer_together(std::size_t requests) {
        const std::lock_guard lock{mutex_};
        together_ = requests;
    }
    bool were_together() const {
        const std::lock_guard lock{mutex_};
        return most_at_once_ >= together_;
    }
    /// No answer to what comes from now on, until answer_again().
    void hold() {
        const std::lock_guard lock{mutex_};
        ++held_from_;
        is_holding_ = true;
    }
    /// What comes from now on is answered; what was held stays so.
    void hold_no_more() {
        const std::lock_guard lock{mutex_};
        is_holding_ = false;
    }
    void answer_held() {
        const std::lock_guard lock{mutex_};
        answered_to_ = held_from_;
        changed_.notify_all();
    }
    std::size_t held() const {
        const std::lock_guard lock{mutex_};
        return held_;
    }

    /// Payloads of each aggregate, in the order of their acknowledgements.
    std::map<std::string, std::vector<std::string>> acknowledged() const {
        const std::lock_guard lock{mutex_};
        return acknowledged_;
    }
    std::size_t distinct() const {
        std::set<std::string> all;
        for (const auto& [group, payloads] : acknowledged())
            all.insert(payloads.begin(), payloads.end());
        return all.size();
    }

    std::string url() const { return "sqs://eu-west-1/?fifo=true&create=false&endpoint=" + http_.endpoint(); }

private:
    HttpAnswer answer(const test::HttpRequest& request) {
        const json::object body = json::parse(request.body).as_object();
        if (const json::value* name = body.if_contains("QueueName")) {
            if (name->as_string().starts_with("nowhere"))
                return HttpAnswer(400, R"({"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"})");
            return HttpAnswer(200, R"({"QueueUrl":"http://q/1/)" + std::string(name->as_string()) + "\"}");
        }
        if (!body.contains("Entries"))
            return HttpAnswer(200, R"({"Attributes":{}})");
        std::unique_lock lock{mutex_};
        most_at_once_ = std::max(most_at_once_, ++at_once_);
        changed_.notify_all();
        if (is_holding_) {
            ++held_;
            const int mine = held_from_;
            changed_.wait_for(lock, 60s, [&] { return answered_to_ >= mine; });
            --held_;
        }
        changed_.wait_for(lock, 10s, [&] { return most_at_once_ >= together_; });
        --at_once_;
        json::array done;
        for (const json::value& entry : body.at("Entries").as_array()) {
            const json::object& fields = entry.as_object();
            acknowledged_[fields.at("MessageGroupId").as_string().c_str()].emplace_back(
                fields.at("MessageBody").as_string().c_str());
            done.push_back(json::object{{"Id", fields.at("Id")}});
        }
        return HttpAnswer(200, json::serialize(json::object{{"Successful", done}}));
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t at_once_ = 0, most_at_once_ = 0, together_ = 0, held_ = 0;
    bool is_holding_ = false;
    int held_from_ = 0, answered_to_ = 0;
    std::map<std::string, std::vector<std::string>> acknowledged_;
    test::FakeHttp http_{[this](const test::HttpRequest& request) { return answer(request); }};
};

class CliDynamoDbRelay : public CliAws {
protected:
    CliDynamoDbRelay() { EXPECT_EQ(txm({"migrate", "--store", store()}).code, 0); }

    /// Messages `first` to `first + count - 1`, each with its number as its payload.
    void publish(int first, int count, int aggregates, const std::string& topic = "orders") {
        std::string text;
        for (int i = first; i < first + count; ++i)
            text += "{\"topic\":\"" + topic + "\",\"aggregate_id\":\"" + topic + std::to_string(i % aggregates) +
                    "\",\"payload\":\"" + std::to_string(i) + "\"}\n";
        const Result result = txm({"publish", "--store", store()}, text);
        ASSERT_EQ(result.code, 0) << result.err;
    }
    Start relay(const std::vector<std::string>& more = {}) const {
        std::vector<std::string> arguments{
            "relay", "--store", store("&poll_interval=20ms&lease_term=1s"), "--broker", sqs_.url(), "--feed", "tail"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return start(arguments);
    }

    std::vector<json::object> rows(const std::string& table, const std::string& members = {}) const {
        std::vector<json::object> all;
        for (std::string start; all.empty() || !start.empty();) {
            const json::object page =
                request("Scan", R"({"ConsistentRead":true,"TableName":")" + table + '"' + members + start + "}");
            for (const json::value& row : page.at("Items").as_array())
                all.push_back(row.as_object());
            start.clear();
            if (const json::value* last = page.if_contains("LastEvaluatedKey"))
                start = ",\"ExclusiveStartKey\":" + json::serialize(*last);
            else if (all.empty())
                break;
        }
        return all;
    }
    std::int64_t count(const std::string& partition) const {
        const json::object page =
            request("Query", R"({"TableName":"shop-outbox-txm","Select":"COUNT","ConsistentRead":true,)"
                             R"("KeyConditionExpression":"PK = :p","ExpressionAttributeValues":{":p":{"S":")" +
                                 partition + R"("}}})");
        return page.at("Count").to_number<std::int64_t>();
    }
    /// How far the stream is done with.
    std::string position() const {
        const json::object page = request(
            "Query", R"({"TableName":"shop-outbox-txm","ConsistentRead":true,)"
                     R"("KeyConditionExpression":"PK = :p","ExpressionAttributeValues":{":p":{"S":"POSITION"}}})");
        const json::array& items = page.at("Items").as_array();
        return items.empty() ? std::string{} : items.at(0).at("SequenceNumber").at("S").as_string().c_str();
    }
    bool says(const Program& program, const std::string& text) const {
        return program.err().find(text) != std::string::npos;
    }

    FakeSqs sqs_;
};

// From the stream to the queue nothing waits for something else of another aggregate.
TEST_F(CliDynamoDbRelay, ManyRequestsAreOnTheirWayAtOnce) {
    publish(0, 400, 400);
    sqs_.answer_together(24);
    const Result result = txm(relay({"--drain"}).arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_TRUE(sqs_.were_together());
    EXPECT_EQ(sqs_.distinct(), 400U);
}

TEST_F(CliDynamoDbRelay, AFrozenRelayThatWakesUpChangesNothing) {
    publish(0, 20, 2);
    sqs_.hold();
    Program frozen{scratch, relay()};
    ASSERT_TRUE(eventually([&] { return sqs_.held() > 0; }));
    frozen.signal(SIGSTOP);
    ::waitpid(frozen.pid(), nullptr, WUNTRACED);
    sqs_.hold_no_more();

    Program other{scratch, relay()};
    ASSERT_TRUE(eventually([&] { return sqs_.distinct() == 20; })) << other.err();
    const auto counts = [&] {
        std::multiset<std::string> times;
        for (const json::object& row : rows("shop-outbox"))
            times.insert(row.at("ApproximateDispatchCount").at("N").as_string().c_str());
        return times;
    };
    ASSERT_TRUE(eventually([&] { return counts().count("1") == 20; }));

    sqs_.answer_held();
    frozen.signal(SIGCONT);
    EXPECT_TRUE(eventually([&] { return says(frozen, "the lease was lost"); })) << frozen.err();
    publish(20, 10, 2);
    ASSERT_TRUE(eventually([&] { return sqs_.distinct() == 30; })) << other.err();
    ASSERT_TRUE(eventually([&] { return counts().count("1") == 30; })) << "a mark of the frozen relay was written";

    // It waits for its turn like any other.
    other.signal(SIGTERM);
    EXPECT_EQ(other.wait(), 0);
    publish(30, 10, 2);
    ASSERT_TRUE(eventually([&] { return sqs_.distinct() == 40; })) << frozen.err();
    frozen.signal(SIGTERM);
    EXPECT_EQ(frozen.wait(), 0);
    EXPECT_EQ(counts().count("1"), 40U);
    for (const auto& [aggregate, payloads] : sqs_.acknowledged()) {
        std::vector<int> first;
        for (const std::string& payload : payloads)
            if (const int number = std::stoi(payload); std::ranges::find(first, number) == first.end())
                first.push_back(number);
        EXPECT_TRUE(std::ranges::is_sorted(first)) << aggregate << ": " << testing::PrintToString(first);
    }
}

// The most that it ever had.
long resident_kib(const Program& program) {
    std::ifstream file{"/proc/" + std::to_string(program.pid()) + "/status"};
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("VmHWM:"))
            return std::stol(line.substr(6));
    return 0;
}

TEST_F(CliDynamoDbRelay, BlockedAggregatesWaitInTheStoreWhileOthersFlow) {
    // Memory for a burst is there after the first ones; more lanes take no more.
    constexpr int burst = 1'000, bursts = 4, lanes = burst * bursts;
    Program running{scratch, relay({"--max-attempts", "1000", "--backoff", "1h", "--max-backoff", "1h"})};
    long at_half = 0;
    for (int i = 0; i < bursts; ++i) {
        if (i == bursts / 2)
            at_half = resident_kib(running);
        publish(i * burst, burst, lanes, "nowhere");
        publish(i * 50, 50, 10);
        ASSERT_TRUE(eventually([&] {
            return sqs_.distinct() == static_cast<std::size_t>(i + 1) * 50 && count("LANE") == (i + 1) * burst;
        })) << running.err();
    }
    const long grown = resident_kib(running) - at_half;
    std::cout << "note: " << lanes / 2 << " blocked lanes more, " << grown << " KiB of memory more\n";
    if (!is_sanitized) {
        EXPECT_LT(grown, 2 * 1024);
    }
    EXPECT_EQ(count("DUE"), lanes);

    // What they wait for is not in the stream's position.
    const std::string blocked_at = position();
    publish(200, 10, 10);
    ASSERT_TRUE(eventually([&] { return sqs_.distinct() == 210 && position() > blocked_at; })) << running.err();
    running.signal(SIGTERM);
    EXPECT_EQ(running.wait(), 0);
    EXPECT_EQ(count("LANE"), lanes);
}

}  // namespace

}  // namespace txm::cli_test
