#include "integration/cli_aws.hpp"

#include <httplib.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

namespace txm::cli_test {

namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

/// Lambda's runtime API, as far as a runtime sees it.
class RuntimeApi {
public:
    struct Answer {
        std::string id, kind, body;  // kind: response or error; of a failed start: init
    };

    RuntimeApi() {
        server_.new_task_queue = [] { return new httplib::ThreadPool(32); };  // each that waits for an event has one
        const std::string base = "/2018-06-01/runtime/";
        server_.Get(base + "invocation/next", [this](const httplib::Request& request, httplib::Response& response) {
            std::unique_lock lock{mutex_};
            ++asked_;
            ports_.insert(request.remote_port);
            changed_.notify_all();
            changed_.wait(lock, [this] { return is_over_ || !events_.empty(); });
            if (is_over_) {
                response.status = 500;
                return;
            }
            response.set_header("Lambda-Runtime-Aws-Request-Id", "r" + std::to_string(asked_));
            const auto deadline = std::chrono::system_clock::now() + events_.front().second;
            response.set_header("Lambda-Runtime-Deadline-Ms",
                                std::to_string(deadline.time_since_epoch() / std::chrono::milliseconds{1}));
            response.set_content(events_.front().first, "application/json");
            events_.pop_front();
        });
        server_.Post(base + "invocation/(r[0-9]+)/(response|error)",
                     [this](const httplib::Request& request, httplib::Response& response) {
                         add({request.matches[1], request.matches[2], request.body});
                         response.status = 202;
                     });
        server_.Post(base + "init/error", [this](const httplib::Request& request, httplib::Response& response) {
            add({"", "init", request.body});
            response.status = 202;
        });
        port_ = server_.bind_to_any_port("127.0.0.1");
        thread_ = std::thread{[this] { server_.listen_after_bind(); }};
    }
    ~RuntimeApi() {
        {
            const std::lock_guard lock{mutex_};
            is_over_ = true;
            changed_.notify_all();
        }
        while (!server_.is_running())
            std::this_thread::yield();
        server_.stop();
        thread_.join();
    }

    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

    void send(std::string event, std::chrono::milliseconds time = 60s) {
        const std::lock_guard lock{mutex_};
        events_.emplace_back(std::move(event), time);
        changed_.notify_all();
    }
    std::optional<Answer> answer() {
        std::unique_lock lock{mutex_};
        if (!changed_.wait_for(lock, 60s, [this] { return !answers_.empty(); }))
            return {};
        Answer first = answers_.front();
        answers_.pop_front();
        return first;
    }
    /// Every question for an event, from the one that waits on.
    void break_down() {
        const std::lock_guard lock{mutex_};
        is_over_ = true;
        changed_.notify_all();
    }
    bool waits_for_the_next(int number) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, 60s, [&] { return asked_ >= number; });
    }
    std::size_t connections() {
        const std::lock_guard lock{mutex_};
        return ports_.size();
    }

private:
    void add(Answer answer) {
        const std::lock_guard lock{mutex_};
        answers_.push_back(std::move(answer));
        changed_.notify_all();
    }

    httplib::Server server_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::pair<std::string, std::chrono::milliseconds>> events_;
    std::deque<Answer> answers_;
    std::set<int> ports_;
    int port_ = 0, asked_ = 0;
    bool is_over_ = false;
    std::thread thread_;
};

class CliLambda : public CliAws {
protected:
    void migrate() {
        const Result result =
            txm({"migrate", "--store", store(), "--broker", sns(), "--topic", "orders", "--consumer", "print"});
        ASSERT_EQ(result.code, 0) << result.err;
    }
    Start lambda(const std::string& store_url, const std::string& broker_url) const {
        Start start = this->start({"lambda", "--log-level", "debug"});
        start.environment["AWS_LAMBDA_RUNTIME_API"] = api.address();
        start.environment["TXM_STORE"] = store_url;
        start.environment["TXM_BROKER"] = broker_url;
        return start;
    }

    /// What Lambda would give for all rows of the outbox.
    std::string event_of_rows() const {
        const json::object rows = request("Scan", R"({"TableName":"shop-outbox"})");
        json::array records;
        for (const json::value& item : rows.at("Items").as_array())
            records.push_back(record(std::to_string(records.size() + 1), item));
        return json::serialize(json::object{{"Records", std::move(records)}});
    }
    static json::object record(const std::string& number, const json::value& item) {
        return {{"eventID", number},
                {"eventName", "INSERT"},
                {"eventVersion", "1.1"},
                {"eventSource", "aws:dynamodb"},
                {"awsRegion", "eu-west-1"},
                {"dynamodb",
                 {{"Keys", {{"PK", item.at("PK")}}},
                  {"NewImage", item},
                  {"SequenceNumber", number},
                  {"StreamViewType", "NEW_AND_OLD_IMAGES"}}},
                {"eventSourceARN", "arn:aws:dynamodb:eu-west-1:000000000000:table/shop-outbox/stream/2026"}};
    }
    std::size_t dispatched() const {
        return count_lines(
            txm({"messages", "list", "--store", store(), "--state", "dispatched", "--format", "json"}).out);
    }

    RuntimeApi api;
};

TEST_F(CliLambda, PublishesWhatAnEventTellsOf) {
    migrate();
    ASSERT_EQ(txm({"publish", "--store", store()}, lines(30)).code, 0);
    api.send(event_of_rows());
    Program program{scratch, lambda(store(), sns())};
    const auto answer = api.answer();
    ASSERT_TRUE(answer.has_value()) << program.err();
    EXPECT_EQ(answer->kind, "response") << answer->body;
    EXPECT_EQ(answer->id, "r1");
    EXPECT_EQ(answer->body, "{\"batchItemFailures\":[]}");
    EXPECT_EQ(dispatched(), 30U);
    EXPECT_EQ(count_lines(txm({"consume", "--broker", sns(), "--topic", "orders", "--print", "--drain"}).out), 30U);

    ASSERT_TRUE(api.waits_for_the_next(2));
    EXPECT_EQ(api.connections(), 1U) << "one connection, kept";
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0);
    checked({0, program.out(), program.err()});
}

TEST_F(CliLambda, AWrongEventIsReportedAndTheNextOneIsTaken) {
    migrate();
    ASSERT_EQ(txm({"publish", "--store", store()}, lines(1)).code, 0);
    Program program{scratch, lambda(store(), sns())};
    api.send("{\"no\":\"records\"}");
    const auto error = api.answer();
    ASSERT_TRUE(error.has_value()) << program.err();
    EXPECT_EQ(error->kind, "error");
    const json::object said = json::parse(error->body).as_object();
    EXPECT_FALSE(said.at("errorMessage").as_string().empty());
    EXPECT_TRUE(said.contains("errorType"));

    api.send(event_of_rows());
    const auto answer = api.answer();
    ASSERT_TRUE(answer.has_value()) << program.err();
    EXPECT_EQ(answer->kind, "response") << answer->body;
    EXPECT_EQ(dispatched(), 1U);
}

/// A broker that accepts connections and never answers.
class Silent {
public:
    Silent() {
        server_.Post(".*", [this](const httplib::Request&, httplib::Response&) {
            std::unique_lock lock{mutex_};
            changed_.wait(lock, [this] { return is_over_; });
        });
        port_ = server_.bind_to_any_port("127.0.0.1");
        thread_ = std::thread{[this] { server_.listen_after_bind(); }};
    }
    ~Silent() {
        {
            const std::lock_guard lock{mutex_};
            is_over_ = true;
            changed_.notify_all();
        }
        server_.stop();
        thread_.join();
    }
    std::string sns() const { return "sns://eu-west-1/x-?endpoint=http://127.0.0.1:" + std::to_string(port_); }

private:
    httplib::Server server_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_over_ = false;
    int port_ = 0;
    std::thread thread_;
};

TEST_F(CliLambda, TheDeadlineIsKept) {
    migrate();
    ASSERT_EQ(txm({"publish", "--store", store()}, lines(1)).code, 0);
    const Silent silent;
    Program program{scratch, lambda(store(), silent.sns())};
    api.send(event_of_rows(), 1500ms);
    const auto answer = api.answer();
    EXPECT_TRUE(answer.has_value()) << program.err();
    if (answer) {
        EXPECT_EQ(answer->kind, "error");
        EXPECT_NE(answer->body.find("longer timeout"), std::string::npos) << answer->body;
    }
    EXPECT_TRUE(api.waits_for_the_next(2));
    EXPECT_EQ(dispatched(), 0U);
}

// What it uses must not be taken down under it.
TEST_F(CliLambda, AStepThatStillRunsWhenTheRuntimeFailsIsLeftBehind) {
    migrate();
    ASSERT_EQ(txm({"publish", "--store", store()}, lines(1)).code, 0);
    const Silent silent;
    Program program{scratch, lambda(store(), silent.sns())};
    api.send(event_of_rows(), 1500ms);
    ASSERT_TRUE(api.answer().has_value()) << program.err();
    ASSERT_TRUE(api.waits_for_the_next(2)) << program.err();
    api.break_down();
    EXPECT_EQ(program.wait(), 1) << program.err();
    EXPECT_NE(program.err().find("still running"), std::string::npos) << program.err();
    EXPECT_NE(program.err().find("txm: "), std::string::npos) << program.err();
}

TEST_F(CliLambda, AFailedStartIsReported) {
    const auto expect_told = [&](const Start& start, const std::string& part) {
        Program program{scratch, start};
        const auto answer = api.answer();
        ASSERT_TRUE(answer.has_value()) << program.err();
        EXPECT_EQ(answer->kind, "init");
        EXPECT_NE(answer->body.find(part), std::string::npos) << answer->body;
        EXPECT_EQ(program.wait(), 2);
        EXPECT_NE(program.err().find(part), std::string::npos) << program.err();
    };
    expect_told(lambda(store("&colour=red"), sns()), "'colour' is unknown");
    expect_told(lambda("", sns()), "TXM_STORE");
    Start wrong = lambda(store(), sns());
    wrong.environment["TXM_MAX_PAYLOAD"] = "much";
    expect_told(wrong, "TXM_MAX_PAYLOAD");
    ASSERT_EQ(txm({"migrate", "--store", "sqlite:s.db"}).code, 0);
    expect_told(lambda("sqlite:s.db", sns()), "no events come from an SQLite store");
}

TEST_F(CliLambda, AMissingTableIsAnErrorOfTheInvocation) {
    api.send(R"({"Records":[]})");
    Program program{scratch, lambda(store(), sns())};
    ASSERT_TRUE(api.answer().has_value()) << program.err();
    EXPECT_TRUE(api.waits_for_the_next(2));
    EXPECT_TRUE(program.is_running());
}

TEST_F(CliLambda, SignalsEndItWhileItWaits) {
    for (int i = 0; i < 5; ++i) {
        Program program{scratch, lambda(store(), sns())};
        ASSERT_TRUE(api.waits_for_the_next(i + 1)) << program.err();
        program.signal(SIGTERM);
        EXPECT_EQ(program.wait(), 0) << program.err();
    }
}

// What a cold start costs beside Lambda's own part, as a figure for docs/lambda.md.
TEST_F(CliLambda, StartsWithoutDoingAnything) {
    std::vector<std::chrono::microseconds> times;
    for (int i = 0; i < 15; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        const Program program{scratch, lambda("dynamodb://eu-west-1/none?endpoint=http://127.0.0.1:1",
                                              "sns://eu-west-1/x-?endpoint=http://127.0.0.1:1")};
        ASSERT_TRUE(api.waits_for_the_next(i + 1)) << program.err();
        times.push_back(
            std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin));
    }
    std::sort(times.begin(), times.end());
    std::printf(
        "note: txm lambda asks for its first event %.1f ms after it was started (median of %zu, at most %.1f)\n",
        static_cast<double>(times[times.size() / 2].count()) / 1000, times.size(),
        static_cast<double>(times.back().count()) / 1000);
}

TEST_F(CliLambda, OutsideOfLambdaItSaysSo) {
    const Result result = txm({"lambda", "--store", store(), "--broker", sns()});
    EXPECT_EQ(result.code, 2);
    EXPECT_NE(result.err.find("AWS_LAMBDA_RUNTIME_API"), std::string::npos) << result.err;
}

TEST_F(CliLambda, UnderTheNameBootstrapItIsARuntime) {
    Start start = lambda(store(), sns());
    start.arguments.clear();
    start.program = scratch.path("bootstrap");
    std::filesystem::create_symlink(std::string(std::getenv("TXM_BIN_DIR")) + "/txm", start.program);
    Program program{scratch, start};
    EXPECT_TRUE(api.waits_for_the_next(1)) << program.err();
}

}  // namespace

}  // namespace txm::cli_test
