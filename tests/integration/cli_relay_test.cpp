#include "integration/cli_process.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include <fcntl.h>
#include <unistd.h>

namespace txm::cli_test {

namespace {

class CliRelay : public testing::Test {
protected:
    CliRelay() { EXPECT_EQ(run(scratch, {"migrate", "--store", "sqlite:s.db"}).code, 0); }

    void publish(int number, const std::string& payload = "1") {
        std::string input;
        for (int i = 0; i < number; ++i)
            input +=
                "{\"topic\":\"t\",\"aggregate_id\":\"" + std::to_string(i % 10) + "\",\"payload\":" + payload + "}\n";
        ASSERT_EQ(run(scratch, {"publish", "--store", "sqlite:s.db", "--batch", "1000"}, input).code, 0);
    }
    static std::vector<std::string> arguments(const std::string& broker, std::vector<std::string> more = {}) {
        more.insert(more.begin(), {"relay", "--store", "sqlite:s.db", "--broker", broker, "--log-level", "warning"});
        return more;
    }
    int count(const std::string& state) {
        return std::stoi(query_one(scratch.path("s.db"), "select count(*) from outbox where state = " + state));
    }
    int pending() { return count("0"); }
    int dispatched() { return count("1"); }

    Scratch scratch;
};

TEST_F(CliRelay, CarriesEverythingToStdoutInOrder) {
    publish(1000);
    const Result result = run(scratch, arguments("stdout:", {"--drain"}));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(count_lines(result.out), 1000U);
    // Message i has sequence i + 1 and belongs to aggregate i % 10.
    for (std::size_t aggregate = 0; aggregate < 10; ++aggregate)
        for (std::size_t at = 0, i = aggregate + 1; i <= 1000; i += 10, ++at)
            ASSERT_NE(at = result.out.find("\"sequence\":" + std::to_string(i) + ",", at), std::string::npos) << i;
    EXPECT_EQ(dispatched(), 1000);
    EXPECT_EQ(run(scratch, arguments("stdout:", {"--drain"})).out, "");
}

TEST_F(CliRelay, CarriesPlainRowsOfAnyWriter) {
    query(scratch.path("s.db"), "insert into outbox (topic, aggregate_id, payload) values ('t', 'a', 'hello')");
    const Result result = run(scratch, arguments("stdout:", {"--drain"}));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.out.find("\"payload\":\"hello\""), std::string::npos) << result.out;
}

TEST_F(CliRelay, WhatItPrintsCanBePublishedAgain) {
    publish(10, "{\"n\": 1.50}");
    const Result printed = run(scratch, arguments("stdout:", {"--drain"}));
    ASSERT_EQ(run(scratch, {"migrate", "--store", "sqlite:copy.db"}).code, 0);
    const Result result = run(scratch, {"publish", "--store", "sqlite:copy.db"}, printed.out);
    EXPECT_EQ(result.code, 0) << result.err;
    const std::string all = "select group_concat(message_id || payload || aggregate_id || created_at) from outbox";
    EXPECT_EQ(query_one(scratch.path("copy.db"), all), query_one(scratch.path("s.db"), all));
}

TEST_F(CliRelay, ALineThatAKillHadCutIsEndedFirst) {
    publish(1);
    for (const std::string before : {"", "{\"whole\":1}\n", "{\"cut\":"}) {
        const std::string path = scratch.write("out.jsonl", before);
        const int out = ::open(path.c_str(), O_WRONLY | O_APPEND);
        Start start{.arguments = arguments("stdout:", {"--drain"}), .stdout_fd = out};
        EXPECT_EQ(run(scratch, start).code, 0);
        ::close(out);
        const std::string content = read_file(path), ended = before + (before.ends_with(':') ? "\n" : "");
        EXPECT_TRUE(content.starts_with(ended + "{\"message_id\"")) << content;
        query(scratch.path("s.db"), "update outbox set state = 0");
    }
}

TEST_F(CliRelay, AFileThatCannotBeReadGetsAnEmptyLineAtMost) {
    publish(1);
    const std::string path = scratch.write("out.jsonl", "{\"whole\":1}\n");
    const int out = ::open(path.c_str(), O_WRONLY);  // not appending: writing goes on at its position
    ASSERT_EQ(::lseek(out, 5, SEEK_SET), 5);
    Start start{.arguments = arguments("stdout:", {"--drain"}), .stdout_fd = out};
    EXPECT_EQ(run(scratch, start).code, 0);
    ::close(out);
    EXPECT_TRUE(read_file(path).starts_with("{\"who\n{\"message_id\"")) << read_file(path);
}

TEST_F(CliRelay, ClosedStdoutLosesNothingUnacked) {
    publish(2000, "\"" + std::string(200, 'x') + "\"");
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    Start start{.arguments = arguments("stdout:"), .stdout_fd = ends[1]};
    Program relay{scratch, start};
    ::close(ends[1]);
    // Reads a part, and goes away.
    std::string read(30'000, '\0');
    std::size_t got = 0;
    while (got < read.size()) {
        const ssize_t n = ::read(ends[0], read.data() + got, read.size() - got);
        ASSERT_GT(n, 0);
        got += static_cast<std::size_t>(n);
    }
    ::close(ends[0]);
    EXPECT_EQ(relay.wait(), 1);
    EXPECT_EQ(count_lines(relay.err()), 1U) << relay.err();
    EXPECT_NE(relay.err().find("stdout is closed"), std::string::npos) << relay.err();
    // Only what the kernel had accepted whole can be marked: fewer than fit into what was read and a full pipe.
    EXPECT_LT(dispatched(), (30'000 + 65'536) / 400);
    EXPECT_EQ(dispatched() + pending(), 2000);

    const Result rest = run(scratch, arguments("stdout:", {"--drain"}));
    EXPECT_EQ(rest.code, 0) << rest.err;
    EXPECT_EQ(dispatched(), 2000);
}

TEST_F(CliRelay, StdoutThatIsClosedFromTheStartMarksNothing) {
    publish(5);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ::close(ends[0]);
    Start start{.arguments = arguments("stdout:", {"--drain"}), .stdout_fd = ends[1]};
    const Result result = run(scratch, start);
    ::close(ends[1]);
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(count_lines(result.err), 1U) << result.err;
    EXPECT_EQ(dispatched(), 0);
    EXPECT_EQ(pending(), 5);
}

TEST_F(CliRelay, AFullPipeIsWaitedForAndDoesNotBlockTheStopSignal) {
    publish(2000, "\"" + std::string(200, 'x') + "\"");
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    Start start{.arguments = arguments("stdout:", {"--relay-batch", "100"}), .stdout_fd = ends[1]};
    {
        Program relay{scratch, start};
        // Nobody reads: the pipe fills up and it waits.
        EXPECT_TRUE(eventually([&] { return dispatched() > 0; }));
        relay.signal(SIGTERM);
        relay.signal(SIGTERM);  // one may be enough, but it then waits for what is in flight
        const int code = relay.wait();
        EXPECT_TRUE(code == 0 || code == 130) << code;
    }
    const int accepted = dispatched();
    EXPECT_LT(accepted, 2000);
    // A new one goes on when there is a reader again.
    Program relay{scratch, start};
    ::close(ends[1]);
    std::size_t lines = 0;
    std::vector<char> buffer(1 << 16);
    while (lines < 2000) {
        const ssize_t n = ::read(ends[0], buffer.data(), buffer.size());
        ASSERT_GT(n, 0);
        lines += static_cast<std::size_t>(std::count(buffer.begin(), buffer.begin() + n, '\n'));
    }
    EXPECT_TRUE(eventually([&] { return dispatched() == 2000; }));
    ::close(ends[0]);
}

TEST_F(CliRelay, TheFirstSignalEndsItWithExitCode0) {
    for (const int signal : {SIGTERM, SIGINT}) {
        Start start{.arguments = arguments("local:b.db")};
        Program relay{scratch, start};
        publish(1);
        EXPECT_TRUE(eventually([&] { return pending() == 0; }));
        relay.signal(signal);
        EXPECT_EQ(relay.wait(), 0) << relay.err();
    }
}

TEST_F(CliRelay, ASecondSignalEndsItAtOnceWithExitCode130) {
    publish(2000, "\"" + std::string(200, 'x') + "\"");
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    Start start{.arguments = {"relay", "--store", "sqlite:s.db", "--broker", "stdout:", "--relay-batch", "100"},
                .stdout_fd = ends[1]};
    Program relay{scratch, start};
    EXPECT_TRUE(eventually([&] { return dispatched() > 0; }));
    relay.signal(SIGTERM);
    EXPECT_TRUE(eventually([&] { return relay.err().find("SIGTERM: stopping") != std::string::npos; }));
    EXPECT_TRUE(relay.insist(SIGTERM));
    EXPECT_EQ(relay.wait(), 130);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_F(CliRelay, ASecondRelayWaitsForTheLeaseAndTakesOver) {
    Start start{.arguments = arguments("local:b.db")};
    Program first{scratch, start};
    publish(1);
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    Program second{scratch, start};
    publish(1);
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    EXPECT_TRUE(second.is_running());
    first.signal(SIGKILL);
    first.wait();
    publish(1);
    EXPECT_TRUE(eventually([&] { return pending() == 0; }));
    second.signal(SIGTERM);
    EXPECT_EQ(second.wait(), 0) << second.err();
    EXPECT_EQ(query_one(scratch.path("b.db"), "select count(*) from message"), "3");
}

TEST_F(CliRelay, AnUnreachableBrokerIsTriedForTheTimeoutAndThenNamed) {
    publish(1);
    // A disk that is full for ever is an outage as the relay sees it.
    const int full = ::open("/dev/full", O_WRONLY);
    ASSERT_GE(full, 0);
    Start start{.arguments = arguments("stdout:", {"--drain", "--timeout", "300ms"}), .stdout_fd = full};
    const Result result = run(scratch, start);
    ::close(full);
    EXPECT_EQ(result.code, 1);
    EXPECT_NE(result.err.find("txm: the broker was unreachable for the --timeout"), std::string::npos) << result.err;
    EXPECT_EQ(pending(), 1);
}

TEST_F(CliRelay, DeadLettersAreCountedAtTheEndOfADrain) {
    publish(2);
    query(scratch.path("s.db"),
          "insert into outbox (topic, aggregate_id, payload) values ('t', '0', hex(zeroblob(600000)))");
    const Result drained = run(scratch, arguments("stdout:", {"--drain"}));
    EXPECT_EQ(drained.code, 1);
    EXPECT_EQ(count_lines(drained.out), 2U);
    EXPECT_NE(drained.err.find("txm: the outbox is drained, but for 1 dead letter"), std::string::npos) << drained.err;
    EXPECT_EQ(run(scratch, {"status", "--store", "sqlite:s.db"}).code, 1);
    EXPECT_EQ(run(scratch, {"messages", "skip", "--store", "sqlite:s.db", "--state", "dead", "--yes"}).out,
              "skipped 1 message\n");
    EXPECT_EQ(run(scratch, arguments("stdout:", {"--drain"})).code, 0);
    EXPECT_EQ(run(scratch, {"status", "--store", "sqlite:s.db"}).code, 0);
}

TEST_F(CliRelay, ServesMetrics) {
    Start start{.arguments = {"relay", "--store", "sqlite:s.db", "--broker", "local:b.db", "--admin", "0"}};
    Program relay{scratch, start};
    publish(3);
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    ASSERT_TRUE(eventually([&] { return relay.err().find("http://127.0.0.1:") != std::string::npos; }));
    const std::string port = relay.err().substr(relay.err().find("127.0.0.1:") + 10);
    const int number = std::stoi(port);
    ASSERT_TRUE(eventually([&] {
        return http_get(number, "/metrics").find("txm_relay_dispatched_total 3") != std::string::npos;
    })) << http_get(number, "/metrics");
    EXPECT_TRUE(http_get(number, "/healthz").starts_with("HTTP/1.1 200"));
    EXPECT_NE(http_get(number, "/readyz").find("ready"), std::string::npos);
    relay.signal(SIGTERM);
    EXPECT_EQ(relay.wait(), 0);
}

}  // namespace

}  // namespace txm::cli_test
