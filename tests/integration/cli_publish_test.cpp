#include "integration/cli_process.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include <unistd.h>

namespace txm::cli_test {

namespace {

std::string message(const std::string& aggregate, const std::string& payload, const std::string& more = {}) {
    return "{\"topic\":\"t\",\"aggregate_id\":\"" + aggregate + "\",\"payload\":" + payload + more + "}\n";
}

class CliPublish : public testing::Test {
protected:
    CliPublish() { EXPECT_EQ(run(scratch, {"migrate", "--store", "sqlite:s.db"}).code, 0); }

    Result publish(const std::string& input, std::vector<std::string> more = {}) {
        more.insert(more.begin(), {"publish", "--store", "sqlite:s.db"});
        return run(scratch, more, input);
    }
    std::string stored(const std::string& what) {
        return query_one(scratch.path("s.db"), "select " + what + " from outbox");
    }

    // `input` fails with `part` in its line, and `committed` messages stand.
    void expect_refused(const Result& result, const std::string& part, int committed) {
        EXPECT_EQ(result.code, 1);
        EXPECT_EQ(count_lines(result.err), 1U) << result.err;
        EXPECT_TRUE(result.err.starts_with("txm: ")) << result.err;
        EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
        EXPECT_EQ(stored("count(*)"), std::to_string(committed));
    }

    Scratch scratch;
};

TEST_F(CliPublish, KeepsThePayloadByteForByte) {
    const Result result = publish(
        message("a", "{\"total\": 1.10, \"n\":[1e2 ,3]}", ",\"type\":\"order-created\",\"headers\":{\"h\":\"v\"}"));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "published 1 message\n");
    EXPECT_EQ(stored("payload"), "{\"total\": 1.10, \"n\":[1e2 ,3]}");
    EXPECT_EQ(stored("topic || aggregate_id || type || state"), "taorder-created0");
}

TEST_F(CliPublish, BlankLinesAndAMissingLastLineEndAreFine) {
    std::string input = "\n" + message("a", "\"x\"") + "   \r\n\n" + message("b", "\"y\"");
    input.pop_back();
    EXPECT_EQ(publish(input).out, "published 2 messages\n");
    EXPECT_EQ(publish("").out, "published 0 messages\n");
}

TEST_F(CliPublish, ReadsAFileAndSaysHowManyInJson) {
    scratch.write("m.jsonl", message("a", "1") + message("b", "2"));
    const Result result = publish("", {"m.jsonl", "--format", "json"});
    EXPECT_EQ(result.out, "{\"published\":2}\n");
    expect_refused(publish("", {"none.jsonl"}), "none.jsonl", 2);
}

TEST_F(CliPublish, AMalformedLineIsNamedAndCommittedBatchesStand) {
    const std::string input =
        message("a", "1") + message("b", "2") + message("c", "3") + "{\"topic\":\n" + message("d", "4");
    expect_refused(publish(input, {"--batch", "2"}), "line 4: ", 2);
    EXPECT_NE(publish(input, {"--batch", "2"}).err.find("lines 1 to 2 are committed"), std::string::npos);
    expect_refused(publish("nonsense\n"), "nothing is committed", 4);
}

TEST_F(CliPublish, EveryBadMessageIsNamedByItsLine) {
    const std::string id = "01890a5d-ac96-774b-bcce-b302099a8057", with_id = ",\"message_id\":\"" + id + "\"";
    expect_refused(publish("{}\n"), "line 1: ", 0);
    expect_refused(publish("[1]\n"), "line 1: ", 0);
    expect_refused(publish(message("a", "1", ",\"colour\":1")), "colour", 0);
    expect_refused(publish(message("a", "1", ",\"message_id\":\"42\"")), "UUID", 0);
    expect_refused(publish(message("a", "1", ",\"message_id\":\"00000000-0000-0000-0000-000000000000\"")), "nil", 0);
    expect_refused(publish(message("", "1")), "aggregate_id", 0);
    expect_refused(publish(message("a", "\"\xff\"")), "UTF-8", 0);
    expect_refused(publish(message("a", "\"" + std::string((1 << 20) + 1, 'x') + "\"")), "line 1: ", 0);
    expect_refused(publish(message("a", "1", with_id) + message("b", "2", with_id)), "line 2: ", 0);
    ASSERT_EQ(publish(message("a", "1", with_id)).code, 0);
    expect_refused(publish(message("b", "2") + message("a", "1", with_id)), "line 2: ", 1);
    EXPECT_EQ(publish(message("a", "\"" + std::string(1 << 20, 'x') + "\"")).code, 0);
}

TEST_F(CliPublish, ManyLinesInBatches) {
    std::string input;
    for (int i = 0; i < 20'000; ++i)
        input += message(std::to_string(i % 100), std::to_string(i));
    EXPECT_EQ(publish(input, {"--batch", "1000"}).out, "published 20000 messages\n");
    EXPECT_EQ(stored("count(*) || ' ' || sum(cast(payload as integer) = sequence - 1)"), "20000 20000");
}

// What a slow writer has sent is committed without waiting for a full batch.
TEST_F(CliPublish, APipeThatPausesIsCommitted) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    Start start{.arguments = {"publish", "--store", "sqlite:s.db"}, .stdin_fd = ends[0]};
    Program program{scratch, start};
    ::close(ends[0]);
    const std::string one = message("a", "1");
    ASSERT_EQ(::write(ends[1], one.data(), one.size()), static_cast<ssize_t>(one.size()));
    EXPECT_TRUE(eventually([&] { return stored("count(*)") == "1"; }));
    ::close(ends[1]);
    EXPECT_EQ(program.wait(), 0);
    EXPECT_EQ(program.out(), "published 1 message\n");
}

TEST_F(CliPublish, ASignalEndsItWithWhatIsCommitted) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    Start start{.arguments = {"publish", "--store", "sqlite:s.db"}, .stdin_fd = ends[0]};
    Program program{scratch, start};
    ::close(ends[0]);
    const std::string one = message("a", "1");
    ASSERT_EQ(::write(ends[1], one.data(), one.size()), static_cast<ssize_t>(one.size()));
    EXPECT_TRUE(eventually([&] { return stored("count(*)") == "1"; }));
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 1);
    EXPECT_NE(program.err().find("lines 1 to 1 are committed"), std::string::npos) << program.err();
    ::close(ends[1]);
}

TEST_F(CliPublish, TheLimitOfPayloadsIsASetting) {
    const std::vector<std::string> arguments{"publish", "--store", "sqlite:s.db", "--max-payload", "9"};
    EXPECT_EQ(run(scratch, arguments, message("a", "\"123456789\"")).code, 0);
    const Result result = run(scratch, arguments, message("a", "\"1234567890\""));
    EXPECT_EQ(result.code, 1);
    EXPECT_NE(result.err.find("line 1: "), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("10 bytes"), std::string::npos) << result.err;
    EXPECT_EQ(stored("count(*)"), "1");

    // More than is usual may be said once, in the file that the relay reads, too.
    std::ofstream{scratch.path("txm.toml")} << "[outbox]\nmax_payload = 3000000\n";
    const std::string large = message("b", '"' + std::string(2'000'000, 'x') + '"');
    EXPECT_EQ(run(scratch, {"publish", "--store", "sqlite:s.db"}, large).code, 1);
    EXPECT_EQ(run(scratch, {"publish", "--store", "sqlite:s.db", "--config", "txm.toml"}, large).code, 0);
    const std::vector<std::string> relay{"relay", "--store", "sqlite:s.db", "--broker", "stdout:", "--drain"};
    EXPECT_EQ(run(scratch, relay).code, 1) << "a dead letter";
    EXPECT_EQ(run(scratch, {"messages", "replay", "--store", "sqlite:s.db", "--state", "dead", "--yes"}).code, 0);
    std::vector<std::string> with_file = relay;
    with_file.insert(with_file.end(), {"--config", "txm.toml"});
    EXPECT_EQ(run(scratch, with_file).code, 0);
    EXPECT_EQ(stored("count(*) || ' ' || min(state) || max(state)"), "2 11");
}

TEST_F(CliPublish, ALockedStoreIsWaitedForAndThenNamed) {
    const WriteLock holder{scratch.path("s.db")};
    const Result result = run(scratch, {"publish", "--store", "sqlite:s.db?busy_timeout=50ms"}, message("a", "1"));
    EXPECT_EQ(result.code, 1);
    EXPECT_NE(result.err.find("locked"), std::string::npos) << result.err;
    EXPECT_EQ(count_lines(result.err), 1U) << result.err;
}

}  // namespace

}  // namespace txm::cli_test
