#include "integration/cli_aws.hpp"

#include <httplib.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <thread>

namespace txm::cli_test {

namespace {

/// An endpoint that always answers the same.
class Answering {
public:
    Answering(int status, const std::string& type, const std::string& message) {
        server_.Post(".*", [=](const httplib::Request&, httplib::Response& response) {
            response.status = status;
            response.set_content(
                R"({"__type":"com.amazon.coral.service#)" + type + R"(","message":")" + message + R"("})",
                "application/x-amz-json-1.0");
        });
        port_ = server_.bind_to_any_port("127.0.0.1");
        thread_ = std::thread{[this] { server_.listen_after_bind(); }};
    }
    ~Answering() {
        while (!server_.is_running())
            std::this_thread::yield();
        server_.stop();
        thread_.join();
    }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

private:
    httplib::Server server_;
    int port_ = 0;
    std::thread thread_;
};

class CliAwsTrouble : public CliAws {
protected:
    /// One line that says what to do.
    static void expect_told(const Result& result, int code, const std::string& part) {
        EXPECT_EQ(result.code, code) << result.err;
        EXPECT_EQ(count_lines(result.err), 1U) << result.err;
        EXPECT_TRUE(result.err.starts_with("txm: ")) << result.err;
        EXPECT_NE(result.err.find(part), std::string::npos) << result.err << "\nwas to say: " << part;
        EXPECT_EQ(result.out, "");
    }
    static std::string at(const std::string& endpoint) { return "dynamodb://eu-west-1/outbox?endpoint=" + endpoint; }
    /// Every command that uses a store.
    void expect_all_told(const std::string& url, int code, const std::string& part) {
        expect_told(txm({"status", "--store", url}), code, part);
        expect_told(txm({"publish", "--store", url}, lines(1)), code, part);
        expect_told(txm({"messages", "list", "--store", url}), code, part);
        expect_told(txm({"relay", "--store", url, "--broker", "stdout:", "--drain", "--log-level", "error"}), code,
                    part);
    }
};

TEST_F(CliAwsTrouble, AMissingTableSaysToMigrate) {
    expect_all_told(at(dynamodb()), 1, "txm migrate");
}

TEST_F(CliAwsTrouble, ExpiredCredentials) {
    const Answering expired{400, "ExpiredTokenException", "The security token included in the request is expired"};
    expect_told(txm({"status", "--store", at(expired.url())}), 1, "expired");
}

TEST_F(CliAwsTrouble, UnknownCredentials) {
    const Answering unknown{400, "UnrecognizedClientException",
                            "The security token included in the request is invalid."};
    expect_all_told(at(unknown.url()), 2, "check the access key");
}

TEST_F(CliAwsTrouble, AMissingPermission) {
    const Answering denied{400, "AccessDeniedException", "User: u is not authorized to perform: dynamodb:Query"};
    expect_all_told(at(denied.url()), 2, "dynamodb:Query");
}

TEST_F(CliAwsTrouble, NobodyListens) {
    int port = 0;
    {
        const Answering gone{400, "", ""};
        port = std::stoi(gone.url().substr(17));
    }
    expect_told(txm({"status", "--store", at("http://127.0.0.1:" + std::to_string(port))}), 1,
                "127.0.0.1:" + std::to_string(port));
}

TEST_F(CliAwsTrouble, ARegionThatDoesNotExist) {
    expect_told(txm({"status", "--store", "dynamodb://mars-north-1/outbox"}), 1, "mars-north-1");
}

TEST_F(CliAwsTrouble, NoCredentials) {
    Start start = this->start({"status", "--store", at("http://127.0.0.1:1")});
    start.environment.erase("AWS_ACCESS_KEY_ID");
    start.environment.erase("AWS_SECRET_ACCESS_KEY");
    start.environment.erase("AWS_SESSION_TOKEN");
    expect_told(run(scratch, start), 2, "AWS_ACCESS_KEY_ID");
    start.arguments.back() += "&profile=nobody";
    expect_told(run(scratch, start), 2, "nobody");
}

TEST_F(CliAwsTrouble, KeysInAUrlAreRefusedAndNotShown) {
    for (const std::string& url : {"dynamodb://AKIAEXAMPLE:" + secret + "@eu-west-1/outbox",
                                   "dynamodb://eu-west-1/outbox?endpoint=http://AKIAEXAMPLE:" + secret + "@localhost:1",
                                   "dynamodb://eu-west-1/outbox?streams_endpoint=http://k:" + secret + "@localhost:1"})
        expect_told(txm({"status", "--store", url}), 2, "AWS_ACCESS_KEY_ID");
    expect_told(txm({"status", "--store", "dynamodb://eu-west-1/outbox?secret_access_key=" + secret}), 2,
                "'secret_access_key': no keys in a URL");
    expect_told(txm({"relay", "--store", at("http://127.0.0.1:1"), "--broker",
                     "sns://AKIAEXAMPLE:" + secret + "@eu-west-1/shop-"}),
                2, "AWS_ACCESS_KEY_ID");
}

// Not even for as long as --timeout says, which is about what is still to be sent.
TEST_F(CliAwsTrouble, AStoppedRelayWaitsForNoAnswer) {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_asked = false, is_over = false;
    httplib::Server silent;
    silent.Post(".*", [&](const httplib::Request&, httplib::Response&) {
        std::unique_lock lock{mutex};
        is_asked = true;
        changed.notify_all();
        changed.wait(lock, [&] { return is_over; });
    });
    const int port = silent.bind_to_any_port("127.0.0.1");
    std::thread thread{[&] { silent.listen_after_bind(); }};

    ASSERT_EQ(txm({"migrate", "--store", "sqlite:orders.db"}).code, 0);
    ASSERT_EQ(txm({"publish", "--store", "sqlite:orders.db"}, lines(10)).code, 0);
    Program relay{scratch,
                  start({"relay", "--store", "sqlite:orders.db", "--broker",
                         "sns://eu-west-1/x-?endpoint=http://127.0.0.1:" + std::to_string(port), "--timeout", "20s"})};
    {
        std::unique_lock lock{mutex};
        EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds{60}, [&] { return is_asked; })) << relay.err();
    }
    relay.signal(SIGTERM);
    EXPECT_EQ(relay.wait(), 0) << relay.err();
    EXPECT_EQ(relay.err().find("unreachable"), std::string::npos) << relay.err();
    {
        const std::lock_guard lock{mutex};
        is_over = true;
        changed.notify_all();
    }
    silent.stop();
    thread.join();
}

// txm() looks for them in whatever was written.
TEST_F(CliAwsTrouble, SecretsAreNeverWritten) {
    for (const char* format : {"text", "json"}) {
        const std::vector<std::string> how{"--log-level", "debug", "--log-format", format};
        const auto with = [&](std::vector<std::string> arguments) {
            arguments.insert(arguments.end(), how.begin(), how.end());
            return arguments;
        };
        const std::string broker = sns();
        EXPECT_EQ(
            txm(with({"migrate", "--store", store(), "--broker", broker, "--topic", "orders", "--consumer", "c"})).code,
            0);
        EXPECT_EQ(txm(with({"publish", "--store", store()}), lines(5)).code, 0);
        EXPECT_EQ(txm(with({"relay", "--store", store(), "--broker", broker, "--drain"})).code, 0);
        EXPECT_EQ(txm(with({"consume", "--store", store(), "--broker", broker, "--topic", "orders", "--consumer", "c",
                            "--drain", "--exec", "true"}))
                      .code,
                  0);
        EXPECT_EQ(txm(with({"status", "--store", store(), "--format", "table"})).code, 0);
        EXPECT_EQ(txm(with({"messages", "list", "--store", store(), "--format", "table"})).code, 0);
        const Answering refusing{400, "InvalidSignatureException",
                                 "The request signature we calculated does not match"};
        EXPECT_EQ(txm(with({"status", "--store", at(refusing.url())})).code, 2);
        const Answering broken{500, "InternalServerError", "oh"};
        EXPECT_EQ(txm(with({"status", "--store", at(broken.url())})).code, 1);
    }
}

}  // namespace

}  // namespace txm::cli_test
