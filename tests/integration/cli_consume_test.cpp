#include "integration/cli_process.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include <unistd.h>

namespace txm::cli_test {

namespace {

class CliConsume : public testing::Test {
protected:
    CliConsume() {
        EXPECT_EQ(run(scratch, {"migrate", "--store", "sqlite:s.db"}).code, 0);
        EXPECT_EQ(run(scratch, {"migrate", "--store", "sqlite:c.db"}).code, 0);
        query(scratch.path("c.db"),
              "create table effect (message_id text, aggregate_id text, amount integer, note text)");
        scratch.write(
            "effect.sql",
            "insert into effect values (:message_id, :aggregate_id, :payload ->> 'amount', :topic || :type);\n"
            "update effect set amount = amount + 1 where message_id = :message_id;\n");
    }

    void send(const std::string& lines) {
        ASSERT_EQ(run(scratch, {"publish", "--store", "sqlite:s.db"}, lines).code, 0);
        ASSERT_EQ(run(scratch, {"relay", "--store", "sqlite:s.db", "--broker", "local:b.db", "--drain"}).code, 0);
    }
    static std::string message(int aggregate, int amount, const std::string& topic = "t") {
        return "{\"topic\":\"" + topic + "\",\"aggregate_id\":\"" + std::to_string(aggregate) +
               "\",\"payload\":{\"amount\":" + std::to_string(amount) +
               "},\"type\":\"paid\",\"headers\":{\"k\":\"v\"}}\n";
    }
    static std::vector<std::string> arguments(std::vector<std::string> more) {
        more.insert(more.begin(), {"consume", "--store", "sqlite:c.db", "--broker", "local:b.db", "--topic", "t"});
        return more;
    }
    std::string effect(const std::string& what) {
        return query_one(scratch.path("c.db"), "select " + what + " from effect");
    }

    Scratch scratch;
};

TEST_F(CliConsume, SqlTakesEffectExactlyOnce) {
    std::string lines;
    for (int i = 1; i <= 100; ++i)
        lines += message(i % 7, i);
    send(lines);
    const Result result = run(scratch, arguments({"--sql", "effect.sql", "--drain"}));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.err.find("exactly once"), std::string::npos) << result.err;
    EXPECT_EQ(effect("count(*) || ' ' || sum(amount) || ' ' || max(note)"), "100 5150 tpaid");

    // Everything comes again: another group of the broker, the same consumer of the store.
    query(scratch.path("b.db"), "update consumer_group set name = 'other'");
    EXPECT_EQ(run(scratch, arguments({"--sql", "effect.sql", "--drain"})).code, 0);
    EXPECT_EQ(effect("count(*) || ' ' || sum(amount)"), "100 5150");
    // Another consumer has effects of its own.
    EXPECT_EQ(run(scratch, arguments({"--sql", "effect.sql", "--drain", "--consumer", "second"})).code, 0);
    EXPECT_EQ(effect("count(*)"), "200");
}

TEST_F(CliConsume, WrongStatementsAreRefusedAtTheStart) {
    const auto with = [&](const std::string& sql) {
        scratch.write("bad.sql", sql);
        return run(scratch, arguments({"--sql", "bad.sql", "--drain"}));
    };
    for (const char* sql : {"", "-- nothing\n", "insert into", "insert into effect (note) values (:colour)",
                            "begin; commit", "insert into nowhere values (1)"}) {
        const Result result = with(sql);
        EXPECT_EQ(result.code, 2) << sql << "\n" << result.err;
        EXPECT_EQ(count_lines(result.err), 1U) << result.err;
        EXPECT_TRUE(result.err.starts_with("txm: ")) << result.err;
    }
    EXPECT_EQ(run(scratch, arguments({"--sql", "none.sql"})).code, 2);
}

TEST_F(CliConsume, AStatementThatFailsMakesADeadLetterThatCanBeReplayed) {
    send(message(1, 1) + message(1, 2) + message(2, 3));
    query(scratch.path("c.db"),
          "create trigger poison before insert on effect when new.amount = 1 begin select raise(abort, 'poison'); end");
    const Result result =
        run(scratch, arguments({"--sql", "effect.sql", "--drain", "--max-attempts", "2", "--backoff", "1ms"}));
    EXPECT_EQ(result.code, 1);
    EXPECT_NE(result.err.find("txm: drained, but for 1 dead letter and 1 parked message of consumer 'default'"),
              std::string::npos)
        << result.err;
    EXPECT_EQ(effect("group_concat(amount)"), "4");
    const std::vector<std::string> inbox{"--inbox", "--store", "sqlite:c.db"};
    const auto messages = [&](std::vector<std::string> words) {
        words.insert(words.begin(), "messages");
        words.insert(words.end(), inbox.begin(), inbox.end());
        return run(scratch, words);
    };
    EXPECT_NE(messages({"list", "--state", "dead"}).out.find("poison"), std::string::npos) << messages({"list"}).out;
    EXPECT_EQ(run(scratch, {"status", "--store", "sqlite:c.db"}).code, 1);
    query(scratch.path("c.db"), "drop trigger poison");
    EXPECT_EQ(messages({"replay", "--state", "processed", "--yes"}).code, 2);
    EXPECT_EQ(messages({"replay", "--state", "dead", "--yes"}).out, "replayed 1 message\n");
    EXPECT_EQ(run(scratch, arguments({"--sql", "effect.sql", "--drain"})).code, 0);
    EXPECT_EQ(effect("group_concat(amount)"), "4,2,3");
    EXPECT_EQ(run(scratch, {"status", "--store", "sqlite:c.db"}).code, 0);
}

TEST_F(CliConsume, ExecGetsThePayloadAndTheMetadata) {
    send(message(1, 7));
    const Result result = run(scratch, arguments({"--exec", "cat >payload; env | grep ^TXM_ >variables; echo said",
                                                  "--drain", "--consumer", "mailer"}));
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "said\n");
    EXPECT_NE(result.err.find("at least once"), std::string::npos) << result.err;
    EXPECT_EQ(read_file(scratch.path("payload")), "{\"amount\":7}");
    const std::string variables = read_file(scratch.path("variables"));
    for (const char* part :
         {"TXM_TOPIC=t\n", "TXM_TYPE=paid\n", "TXM_AGGREGATE_ID=1\n", "TXM_CONSUMER=mailer\n", "TXM_SEQUENCE=1\n",
          "TXM_HEADERS={\"k\":\"v\"}\n", "TXM_MESSAGE_ID=", "TXM_CREATED_AT=", "TXM_ATTEMPT=1\n"})
        EXPECT_NE(variables.find(part), std::string::npos) << part << variables;
    // Done: it does not run again.
    EXPECT_EQ(run(scratch, arguments({"--exec", "echo again", "--drain", "--consumer", "mailer"})).out, "");
}

TEST_F(CliConsume, ExecNeedNotReadItsInput) {
    send("{\"topic\":\"t\",\"aggregate_id\":\"1\",\"payload\":\"" + std::string(500'000, 'x') + "\"}\n");
    EXPECT_EQ(run(scratch, arguments({"--exec", "true", "--drain"})).code, 0);
}

TEST_F(CliConsume, ExecIsTriedAgainAndCode65MakesADeadLetter) {
    send(message(1, 1) + message(2, 2));
    const Result result = run(scratch, arguments({"--exec",
                                                  "echo $TXM_AGGREGATE_ID >>tries; if [ $TXM_AGGREGATE_ID = 1 ]; then "
                                                  "exit 65; fi; [ $(grep -c 2 tries) -ge 3 ]",
                                                  "--drain", "--backoff", "1ms"}));
    EXPECT_EQ(result.code, 1) << result.err;
    EXPECT_NE(result.err.find("1 dead letter"), std::string::npos) << result.err;
    EXPECT_EQ(
        query_one(scratch.path("c.db"),
                  "select group_concat(state || ' ' || n) from (select state, count(*) n from inbox group by state)"),
        "0 1,1 1");
    const std::string tries = read_file(scratch.path("tries"));
    EXPECT_EQ(std::count(tries.begin(), tries.end(), '1'), 1);
    EXPECT_EQ(std::count(tries.begin(), tries.end(), '2'), 3);
}

TEST_F(CliConsume, AMessageThatKillsItsConsumerBecomesADeadLetterAndItsNeighboursDoNot) {
    std::string lines;
    for (int aggregate = 1; aggregate <= 20; ++aggregate)
        lines += message(aggregate, 1);
    send(lines + message(7, 2));
    // The neighbours are in flight when it kills for the first and the second time.
    const std::vector<std::string> consume =
        arguments({"--exec",
                   "if [ $TXM_AGGREGATE_ID = 7 ]; then echo >>kills; kill -9 $PPID; exit; fi; "
                   "while [ -e c.db ] && [ $(cat kills | wc -l) -lt 2 ]; do sleep 0.01; done",
                   "--drain", "--max-attempts", "3"});
    Result result;
    int kills = 0;
    for (result = run(scratch, consume); result.code == 128 + SIGKILL && kills < 20; result = run(scratch, consume))
        ++kills;
    EXPECT_EQ(kills, 4) << "the first time nobody knows yet that it may kill";
    EXPECT_EQ(result.code, 1) << result.err;
    EXPECT_EQ(
        query_one(scratch.path("c.db"), "select group_concat(aggregate_id || ' ' || attempts) from txm_dead_letter"),
        "7 3");
    EXPECT_EQ(query_one(scratch.path("c.db"), "select count(*) from inbox where state = 0"), "19");
    EXPECT_EQ(query_one(scratch.path("c.db"), "select count(*) from txm_parked"), "1") << "behind the dead letter";
    EXPECT_EQ(query_one(scratch.path("c.db"), "select count(*) from txm_attempt"), "0");

    // Sent again by an operator, it has all its attempts again.
    ASSERT_EQ(
        run(scratch, {"messages", "replay", "--inbox", "--store", "sqlite:c.db", "--state", "dead", "--yes"}).code, 0);
    EXPECT_EQ(run(scratch, consume).code, 128 + SIGKILL);
    EXPECT_EQ(run(scratch, arguments({"--exec", "true", "--drain"})).code, 0);
    EXPECT_EQ(query_one(scratch.path("c.db"), "select count(*) from inbox where state = 0"), "21");
}

TEST_F(CliConsume, PrintingTakesNothingFromTheServiceWithoutAName) {
    const Result early = run(scratch, {"consume", "--broker", "local:b.db", "--topic", "t", "--print", "--drain"});
    EXPECT_EQ(early.code, 0);
    EXPECT_NE(early.err.find("there is no b.db yet"), std::string::npos) << early.err;
    send(message(1, 1));
    const std::vector<std::string> print{"consume", "--broker", "local:b.db", "--topic", "t", "--print", "--drain"};
    EXPECT_EQ(count_lines(run(scratch, print).out), 1U);
    EXPECT_EQ(count_lines(run(scratch, print).out), 0U) << "its place is kept under its own name";
    EXPECT_EQ(run(scratch, arguments({"--sql", "effect.sql", "--drain"})).code, 0);
    EXPECT_EQ(effect("count(*)"), "1");
}

TEST_F(CliConsume, AConsumerWithoutItsSectionIsNotRunWithoutItsSettings) {
    scratch.write("txm.toml", "[consumer.billing]\nsql = \"effect.sql\"\n[consumer.mail]\nprint = true\n");
    const Result result = run(scratch, arguments({"--config", "txm.toml", "--consumer", "billig", "--drain"}));
    EXPECT_EQ(result.code, 2);
    EXPECT_NE(result.err.find("no section [consumer.billig] (it has [consumer.billing], [consumer.mail])"),
              std::string::npos)
        << result.err;
    EXPECT_EQ(run(scratch, arguments({"--config", "txm.toml", "--consumer", "billing", "--drain"})).code, 0);
}

TEST_F(CliConsume, ASignalLetsTheCommandFinish) {
    send(message(1, 1));
    Start start{.arguments = arguments({"--exec", "touch started; while [ ! -e go ]; do sleep 0.02; done"})};
    Program consumer{scratch, start};
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(scratch.path("started")); }));
    // Twice at once, as GNU timeout does: that is one signal.
    consumer.signal(SIGTERM);
    consumer.signal(SIGTERM);
    ASSERT_TRUE(eventually([&] { return consumer.err().find("SIGTERM: stopping") != std::string::npos; }));
    scratch.write("go", "");
    EXPECT_EQ(consumer.wait(), 0);
    EXPECT_EQ(query_one(scratch.path("c.db"), "select count(*) from inbox"), "1");
}

TEST_F(CliConsume, ASecondSignalKillsTheCommand) {
    send(message(1, 1));
    Start start{.arguments = arguments({"--exec", "echo $$ >pid; exec sleep 1000"})};
    Program consumer{scratch, start};
    ASSERT_TRUE(eventually([&] { return read_file(scratch.path("pid")).ends_with('\n'); }));
    consumer.signal(SIGTERM);
    ASSERT_TRUE(eventually([&] { return consumer.err().find("SIGTERM: stopping") != std::string::npos; }));
    EXPECT_TRUE(consumer.insist(SIGTERM));
    EXPECT_EQ(consumer.wait(), 130);
    const pid_t pid = std::stoi(read_file(scratch.path("pid")));
    const std::string state_file = "/proc/" + std::to_string(pid) + "/stat";
    EXPECT_TRUE(eventually([&] {
        const std::string state = read_file(state_file);
        return state.empty() || state.find(") Z") != std::string::npos;
    }));
    EXPECT_EQ(query_one(scratch.path("c.db"), "select count(*) from inbox"), "0");
}

TEST_F(CliConsume, PrintNeedsNoStore) {
    send(message(1, 1) + message(1, 2, "u") + message(2, 3, "other"));
    const std::vector<std::string> print{"consume", "--broker", "local:b.db", "--topic", "t",
                                         "--topic", "u",        "--print",    "--drain"};
    const Result result = run(scratch, print);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(count_lines(result.out), 2U);
    EXPECT_NE(result.out.find("\"payload\":\"{\\\"amount\\\":1}\""), std::string::npos) << result.out;
    EXPECT_EQ(run(scratch, print).out, "");
}

TEST_F(CliConsume, PrintFromTheEnd) {
    send(message(1, 1));
    const std::vector<std::string> print{"consume", "--broker",   "local:b.db", "--topic", "t",  "--print",
                                         "--drain", "--consumer", "late",       "--from",  "end"};
    EXPECT_EQ(run(scratch, print).out, "");
    send(message(1, 2));
    EXPECT_EQ(count_lines(run(scratch, print).out), 1U);
}

TEST_F(CliConsume, PrintToAClosedPipeLosesNothing) {
    std::string lines;
    for (int i = 0; i < 50; ++i)
        lines += message(i % 3, i);
    send(lines);
    const std::vector<std::string> print{"consume", "--broker", "local:b.db",  "--topic", "t",
                                         "--print", "--drain",  "--log-level", "warning"};
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ::close(ends[0]);
    Start start{.arguments = print, .stdout_fd = ends[1]};
    const Result result = run(scratch, start);
    ::close(ends[1]);
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(count_lines(result.err), 1U) << result.err;
    EXPECT_NE(result.err.find("stdout is closed"), std::string::npos) << result.err;
    const Result again = run(scratch, print);
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(count_lines(again.out), 50U);
}

TEST_F(CliConsume, ReadsItsSectionOfTheFile) {
    send(message(1, 1));
    scratch.write("txm.toml",
                  "[store]\nurl = \"sqlite:c.db\"\n[broker]\nurl = \"local:b.db\"\n"
                  "[consumer.billing]\ntopic = [\"t\"]\nsql = \"effect.sql\"\ndrain = true\n");
    const Result result = run(scratch, {"consume", "--config", "txm.toml", "--consumer", "billing"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(query_one(scratch.path("c.db"), "select consumer from inbox"), "billing");
}

}  // namespace

}  // namespace txm::cli_test
