#include "integration/cli_process.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

namespace txm::cli_test {

namespace {

const std::string first_id = "01890a5d-ac96-774b-bcce-b302099a8057",
                  unknown_id = "01890a5d-ac96-774b-bcce-b302099a8058";

class CliMessages : public testing::Test {
protected:
    CliMessages() {
        EXPECT_EQ(run(scratch, {"migrate", "--store", "sqlite:s.db"}).code, 0);
        std::string lines =
            "{\"topic\":\"orders\",\"aggregate_id\":\"1\",\"payload\":\"first\",\"message_id\":\"" + first_id + "\"}\n";
        lines += "{\"topic\":\"orders\",\"aggregate_id\":\"2\",\"payload\":\"second\"}\n";
        lines += "{\"topic\":\"credit\",\"aggregate_id\":\"1\",\"payload\":\"line\\nbreak\"}\n";
        EXPECT_EQ(run(scratch, {"publish", "--store", "sqlite:s.db"}, lines).code, 0);
    }
    Result messages(const std::string& action, std::vector<std::string> more = {}) {
        more.insert(more.begin(), {"messages", action, "--store", "sqlite:s.db"});
        return run(scratch, more);
    }
    Result relay() { return run(scratch, {"relay", "--store", "sqlite:s.db", "--broker", "stdout:", "--drain"}); }
    int count(const std::string& condition) {
        return std::stoi(query_one(scratch.path("s.db"), "select count(*) from outbox where " + condition));
    }
    Scratch scratch;
};

TEST_F(CliMessages, ListsWithAlignedColumns) {
    const Result result = messages("list");
    EXPECT_EQ(result.code, 0) << result.err;
    ASSERT_EQ(count_lines(result.out), 4U) << result.out;
    const std::size_t column = result.out.find("TOPIC");
    std::vector<std::string> lines;
    for (std::size_t at = 0; at < result.out.size();) {
        const std::size_t end = result.out.find('\n', at);
        lines.push_back(result.out.substr(at, end - at));
        at = end + 1;
    }
    EXPECT_EQ(lines[1].substr(column, 6), "orders");
    EXPECT_EQ(lines[3].substr(column, 6), "credit");
    EXPECT_EQ(messages("list", {"--topic", "none"}).out, "no messages\n");
}

TEST_F(CliMessages, ListsWhatTheFiltersSelect) {
    const auto number = [&](std::vector<std::string> filter) {
        filter.insert(filter.end(), {"--format", "json"});
        return count_lines(messages("list", filter).out);
    };
    EXPECT_EQ(number({}), 3U);
    EXPECT_EQ(number({"--topic", "orders"}), 2U);
    EXPECT_EQ(number({"--topic", "orders", "--aggregate", "2"}), 1U);
    EXPECT_EQ(number({"--correlation", first_id}), 1U);
    EXPECT_EQ(number({"--state", "dispatched"}), 0U);
    EXPECT_EQ(number({"--since", "1h"}), 3U);
    EXPECT_EQ(number({"--before", "1h"}), 0U);
    EXPECT_EQ(number({"--limit", "2"}), 2U);
    EXPECT_EQ(number({first_id}), 1U);
}

TEST_F(CliMessages, ShowsAll) {
    const Result result = messages("show", {first_id});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.out.find("payload         first\n"), std::string::npos) << result.out;
    EXPECT_NE(messages("show", {first_id, "--format", "json"}).out.find("\"payload\":\"first\""), std::string::npos);
    const Result missing = messages("show", {first_id, unknown_id});
    EXPECT_EQ(missing.code, 1);
    EXPECT_EQ(missing.err, "txm: no message " + unknown_id + " in the outbox\n");
    EXPECT_EQ(messages("show").code, 2);
}

TEST_F(CliMessages, ReplaySendsAgain) {
    EXPECT_EQ(count_lines(relay().out), 3U);
    EXPECT_EQ(relay().out, "");
    const Result result = messages("replay", {first_id});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "replayed 1 message\n");
    EXPECT_EQ(count("replays = 1"), 1);
    const Result again = relay();
    EXPECT_EQ(count_lines(again.out), 1U);
    EXPECT_NE(again.out.find(first_id), std::string::npos);
    EXPECT_EQ(messages("replay", {"--topic", "orders", "--yes", "--format", "json"}).out, "{\"replayed\":2}\n");
    EXPECT_EQ(count_lines(relay().out), 2U);
}

TEST_F(CliMessages, WhatCannotBeReplayedOrSkippedIsSaid) {
    const Result pending = messages("replay", {first_id});
    EXPECT_EQ(pending.code, 1);
    EXPECT_EQ(pending.out, "replayed 0 messages\n");
    EXPECT_NE(pending.err.find("pending"), std::string::npos) << pending.err;
    const Result unknown = messages("skip", {unknown_id});
    EXPECT_EQ(unknown.code, 1);
    EXPECT_NE(unknown.err.find("no message " + unknown_id), std::string::npos) << unknown.err;
}

TEST_F(CliMessages, PurgeDeletesDispatchedOnesOnly) {
    EXPECT_EQ(messages("purge", {"--before", "0"}).out, "deleted 0 messages\n");
    ASSERT_EQ(relay().code, 0);
    EXPECT_EQ(messages("purge", {"--before", "1h"}).out, "deleted 0 messages\n");
    EXPECT_EQ(messages("purge", {"--before", "0", "--topic", "credit"}).out, "deleted 1 message\n");
    EXPECT_EQ(messages("purge", {"--before", "0"}).out, "deleted 2 messages\n");
    EXPECT_EQ(count("true"), 0);
}

TEST_F(CliMessages, StatusSaysWhatIsThere) {
    const Result before = run(scratch, {"status", "--store", "sqlite:s.db", "--format", "json"});
    EXPECT_EQ(before.code, 0) << before.err;
    EXPECT_EQ(count_lines(before.out), 1U);
    EXPECT_NE(before.out.find("\"pending\":3"), std::string::npos) << before.out;
    EXPECT_NE(before.out.find("\"healthy\":true"), std::string::npos) << before.out;
    ASSERT_EQ(run(scratch, {"relay", "--store", "sqlite:s.db", "--broker", "local:b.db", "--drain"}).code, 0);
    ASSERT_EQ(run(scratch, {"consume", "--broker", "local:b.db", "--topic", "credit", "--print", "--drain"}).code, 0);
    const Result after = run(scratch, {"status", "--store", "sqlite:s.db", "--broker", "local:b.db"});
    EXPECT_EQ(after.code, 0) << after.err;
    EXPECT_NE(after.out.find("credit"), std::string::npos) << after.out;
    EXPECT_TRUE(after.out.ends_with("\nhealthy\n")) << after.out;
}

TEST_F(CliMessages, AListIntoAClosedPipeIsOneLine) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ::close(ends[0]);
    Start start{.arguments = {"messages", "list", "--store", "sqlite:s.db"}, .stdout_fd = ends[1]};
    const Result result = run(scratch, start);
    ::close(ends[1]);
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(count_lines(result.err), 1U) << result.err;
}

}  // namespace

}  // namespace txm::cli_test
