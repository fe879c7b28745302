#include "integration/cli_process.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace txm::cli_test {

namespace {

// Wrong input is answered with one line on stderr that begins with `txm: ` and with nothing on stdout.
void expect_refused(const Result& result, int code, const std::string& part) {
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_EQ(count_lines(result.err), 1U) << result.err;
    EXPECT_TRUE(result.err.starts_with("txm: ")) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err << "\nwas to say: " << part;
    EXPECT_EQ(result.out, "");
}

class CliUsage : public testing::Test {
protected:
    void migrate() { ASSERT_EQ(run(scratch, {"migrate", "--store", "sqlite:s.db"}).code, 0); }
    Scratch scratch;
};

const std::string one_message = "{\"topic\":\"t\",\"aggregate_id\":\"a\",\"payload\":\"p\"}\n";

TEST_F(CliUsage, Version) {
    const Result result = run(scratch, {"--version"});
    EXPECT_EQ(result.code, 0);
    EXPECT_TRUE(result.out.starts_with("txm 0.")) << result.out;
}

TEST_F(CliUsage, EveryCommandHasHelpWithTwoExamples) {
    EXPECT_EQ(run(scratch, {"--help"}).code, 0);
    const std::vector<std::vector<std::string>> commands{
        {"migrate"},          {"publish"},          {"relay"},
        {"consume"},          {"status"},           {"lambda"},
        {"messages", "list"}, {"messages", "show"}, {"messages", "replay"},
        {"messages", "skip"}, {"messages", "purge"}};
    for (std::vector<std::string> command : commands) {
        std::string name = "txm";
        for (const std::string& word : command)
            name += " " + word;
        command.push_back("--help");
        const Result result = run(scratch, command);
        EXPECT_EQ(result.code, 0) << name;
        const std::size_t examples = result.out.find("Examples:");
        ASSERT_NE(examples, std::string::npos) << name;
        const std::size_t first = result.out.find(name, examples);
        ASSERT_NE(first, std::string::npos) << result.out;
        EXPECT_NE(result.out.find(name, first + 1), std::string::npos) << result.out;
    }
}

TEST_F(CliUsage, WrongUsageIsOneLineAndExitCode2) {
    migrate();
    expect_refused(run(scratch, std::vector<std::string>{}), 2, "--help");
    expect_refused(run(scratch, {"fly"}), 2, "fly");
    expect_refused(run(scratch, {"relay", "--stor", "x"}), 2, "--stor");
    expect_refused(run(scratch, {"status"}), 2, "TXM_STORE");
    expect_refused(run(scratch, {"publish", "--store", "sqlite:s.db", "--batch", "many"}), 2,
                   "--batch must be a whole number");
    expect_refused(run(scratch, {"publish", "--store", "sqlite:s.db", "--batch", "0"}), 2, "--batch");
    expect_refused(run(scratch, {"relay", "--store", "sqlite:s.db", "--broker", "stdout:", "--policy", "maybe"}), 2,
                   "--policy must be one of hold, skip");
    expect_refused(run(scratch, {"relay", "--store", "sqlite:s.db", "--broker", "stdout:", "--timeout", "5"}), 2,
                   "--timeout must be a duration");
    expect_refused(run(scratch, {"relay", "--store", "sqlite:s.db", "--broker", "stdout:", "--feed", "log"}), 2,
                   "poll");
    expect_refused(run(scratch, {"relay", "--store", "sqlite:s.db", "--broker", "stdout:", "--admin", "here"}), 2,
                   "--admin");
    expect_refused(run(scratch, {"consume", "--store", "sqlite:s.db", "--broker", "local:b.db", "--topic", "t"}), 2,
                   "--sql");
    expect_refused(run(scratch, {"consume", "--broker", "local:b.db", "--topic", "t", "--print", "--exec", "true"}), 2,
                   "one of");
    expect_refused(run(scratch, {"consume", "--broker", "local:b.db", "--print"}), 2, "--topic");
    expect_refused(run(scratch, {"consume", "--broker", "stdout:", "--topic", "t", "--print"}), 2, "stdout:");
    expect_refused(run(scratch, {"messages", "replay", "--store", "sqlite:s.db", "--state", "dead"}), 2, "--yes");
    expect_refused(run(scratch, {"messages", "skip", "--store", "sqlite:s.db", "42"}), 2, "UUID");
    for (const std::string action : {"replay", "skip"})
        expect_refused(run(scratch, {"messages", action, "--store", "sqlite:s.db", "--yes"}), 2, "--state dead");
    expect_refused(run(scratch, {"messages", "purge", "--store", "sqlite:s.db"}), 2, "--before");
    expect_refused(run(scratch, {"messages", "list", "--store", "sqlite:s.db", "--state", "lost"}), 2, "pending");
    expect_refused(run(scratch, {"messages", "list", "--store", "sqlite:s.db", "--since", "yesterday"}), 2,
                   "age such as 7d");
    expect_refused(run(scratch, {"migrate", "--store", "sqlite:s.db", "--print", "terraform"}), 2, "sql");
}

TEST_F(CliUsage, WrongUrlIsOneLineAndExitCode2) {
    const auto status = [&](const std::string& url) { return run(scratch, {"status", "--store", url}); };
    expect_refused(status("orders.db"), 2, "is not a URL");
    expect_refused(status("mysql://host/db"), 2, "unknown store 'mysql:'");
    expect_refused(status("postgres://host/db"), 2, "this build of txm has no store 'postgres:'");
    expect_refused(status("local:b.db"), 2, "--broker");
    expect_refused(status("sqlite:"), 2, "needs a file");
    expect_refused(status("sqlite://s.db"), 2, "sqlite:s.db");
    expect_refused(status("sqlite:s.db?colour=red"), 2, "'colour' is unknown: sqlite: has outbox, inbox");
    expect_refused(status("sqlite:s.db?synchronous=off"), 2, "one of full, normal");
    expect_refused(status("sqlite:s.db?outbox=a b"), 2, "a b");
    expect_refused(status("sqlite:s.db?outbox"), 2, "name=value");
    expect_refused(status("sqlite:s%zz.db"), 2, "%25");
    migrate();
    expect_refused(run(scratch, {"relay", "--store", "sqlite:s.db", "--broker", "kafka://host:9092"}), 2,
                   "this build of txm has no broker 'kafka:'");
    expect_refused(run(scratch, {"relay", "--store", "sqlite:s.db", "--broker", "stdout:file"}), 2, "stdout:");
    expect_refused(run(scratch, {"relay", "--store", "sqlite:s.db", "--broker", "local:b.db?retention=soon"}), 2,
                   "duration");
}

TEST_F(CliUsage, AMissingStoreSaysToMigrate) {
    for (const char* command : {"status", "publish"})
        expect_refused(run(scratch, {command, "--store", "sqlite:none.db"}), 1,
                       "run `txm migrate --store sqlite:none.db`");
    EXPECT_FALSE(std::filesystem::exists(scratch.path("none.db")));
}

TEST_F(CliUsage, AMissingTableSaysToMigrate) {
    std::ofstream{scratch.path("plain.db")};
    const std::string url = "sqlite:plain.db";
    expect_refused(run(scratch, {"status", "--store", url}), 1, "txm migrate");
    expect_refused(run(scratch, {"publish", "--store", url}, one_message), 1, "txm migrate");
    expect_refused(run(scratch, {"messages", "list", "--store", url}), 1, "txm migrate");
    scratch.write("a.sql", "select 1");
    const Result relay =
        run(scratch, {"relay", "--store", url, "--broker", "stdout:", "--drain", "--log-level", "error"});
    expect_refused(relay, 1, "txm migrate");
    const Result consume = run(scratch, {"consume", "--store", url, "--broker", "local:b.db", "--topic", "t", "--sql",
                                         "a.sql", "--drain", "--log-level", "error"});
    expect_refused(consume, 1, "txm migrate");
}

TEST_F(CliUsage, ANewerSchemaIsRefused) {
    migrate();
    const std::string table = query_one(scratch.path("s.db"), "select sql from sqlite_master where name = 'txm_meta'");
    SCOPED_TRACE(table);
    query(scratch.path("s.db"), "update txm_meta set value = '99' where key like '%schema_version%'");
    expect_refused(run(scratch, {"status", "--store", "sqlite:s.db"}), 1, "newer");
    expect_refused(run(scratch, {"publish", "--store", "sqlite:s.db"}, one_message), 1, "newer");
    expect_refused(run(scratch, {"migrate", "--store", "sqlite:s.db"}), 1, "newer");
}

TEST_F(CliUsage, WhatIsNoDatabaseIsRefused) {
    scratch.write("text.db", std::string(4096, 'x'));
    expect_refused(run(scratch, {"status", "--store", "sqlite:text.db"}), 1, "text.db");
    expect_refused(run(scratch, {"migrate", "--store", "sqlite:no/folder/s.db"}), 1, "no/folder/s.db");
}

TEST_F(CliUsage, MigratePrintsWhatItWouldRunAndTouchesNothing) {
    const Result result = run(scratch, {"migrate", "--store", "sqlite:s.db?outbox=events", "--print"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_NE(result.out.find("events"), std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(scratch.path("s.db")));
    // What it prints makes the same store.
    std::ofstream{scratch.path("s.db")};
    query(scratch.path("s.db"), result.out);
    EXPECT_EQ(run(scratch, {"status", "--store", "sqlite:s.db?outbox=events"}).code, 0);
}

TEST_F(CliUsage, MigrateTwiceIsMigrateOnce) {
    migrate();
    migrate();
    EXPECT_EQ(run(scratch, {"status", "--store", "sqlite:s.db"}).code, 0);
}

TEST_F(CliUsage, FlagsBeatEnvironmentBeatsFile) {
    migrate();
    scratch.write("txm.toml", "[store]\nurl = \"sqlite:file.db\"\n[log]\nformat = \"json\"\n");
    const auto status = [&](std::map<std::string, std::string> environment, std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"status", "--config", "txm.toml"});
        Start start{.arguments = arguments, .environment = environment};
        return run(scratch, start);
    };
    const Result file = status({}, {});
    EXPECT_EQ(file.code, 1);
    EXPECT_NE(file.err.find("file.db"), std::string::npos) << file.err;
    EXPECT_TRUE(file.err.starts_with("{\"time\":")) << file.err;
    const Result environment = status({{"TXM_STORE", "sqlite:env.db"}}, {});
    EXPECT_NE(environment.err.find("env.db"), std::string::npos) << environment.err;
    EXPECT_EQ(status({{"TXM_STORE", "sqlite:env.db"}}, {"--store", "sqlite:s.db"}).code, 0);
}

TEST_F(CliUsage, TheFileOfTheEnvironmentAndItsOptions) {
    scratch.write("txm.toml", "[store]\nurl = \"sqlite:s.db\"\noutbox = \"events\"\n");
    const auto with_file = [&](std::vector<std::string> arguments) {
        Start start{.arguments = std::move(arguments), .environment = {{"TXM_CONFIG", "txm.toml"}}};
        return run(scratch, start);
    };
    ASSERT_EQ(with_file({"migrate"}).code, 0);
    EXPECT_EQ(query_one(scratch.path("s.db"), "select count(*) from events"), "0");
    // A parameter of the URL holds over the file's key.
    ASSERT_EQ(with_file({"migrate", "--store", "sqlite:s.db?outbox=others"}).code, 0);
    EXPECT_EQ(query_one(scratch.path("s.db"), "select count(*) from others"), "0");
}

TEST_F(CliUsage, WrongFilesAreRefusedWithTheirLine) {
    migrate();
    const auto with = [&](const std::string& content) {
        scratch.write("txm.toml", content);
        return run(scratch,
                   {"relay", "--config", "txm.toml", "--store", "sqlite:s.db", "--broker", "stdout:", "--drain"});
    };
    expect_refused(with("[relay]\n\nmax_atempts = 3\n"), 2, "txm.toml:3: unknown key 'max_atempts' in [relay]");
    expect_refused(with("[relai]\nx = 1\n"), 2, "txm.toml:1: unknown section [relai]");
    expect_refused(with("store = \"sqlite:s.db\"\n"), 2, "txm.toml:1: store must be a section");
    expect_refused(with("[relay]\nmax_attempts = \"three\"\n"), 2,
                   "txm.toml:2: relay.max_attempts must be a whole number");
    expect_refused(with("[relay]\npolicy = \"hold\"\npolicy = \"skip\"\n"), 2, "txm.toml:3");
    expect_refused(with("[relay\n"), 2, "txm.toml:1");
    expect_refused(with("[store]\ncolour = \"red\"\n"), 2, "txm.toml:2: store.colour is unknown");
    expect_refused(with("[consumer.a]\ncolour = \"red\"\n"), 2, "txm.toml:2: unknown key 'colour' in [consumer.a]");
    expect_refused(run(scratch, {"status", "--store", "sqlite:s.db", "--config", "none.toml"}), 2, "none.toml");
    EXPECT_EQ(with("[relay]\nmax_attempts = 3\ndrain = true\n[consumer.b]\ntopic = [\"a\", \"b\"]\n").code, 0);
}

TEST_F(CliUsage, SecretsAreNotShown) {
    const Result result = run(scratch, {"status", "--store", "mysql host?password=hunter2&x=1"});
    EXPECT_EQ(result.code, 2);
    EXPECT_EQ(result.err.find("hunter2"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("password=***&x=1"), std::string::npos) << result.err;
}

TEST_F(CliUsage, TheDocumentedTableIsTheProgramsTable) {
    const Result result = run(scratch, {"--settings"});
    ASSERT_EQ(result.code, 0);
    const std::string page = read_file(TXM_SOURCE_DIR "/docs/command-line.md");
    EXPECT_NE(page.find(result.out), std::string::npos)
        << "docs/command-line.md is behind: put the output of `txm --settings` there";
}

}  // namespace

}  // namespace txm::cli_test
