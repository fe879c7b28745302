#include "fault/world.hpp"

#include "fault/process.hpp"

#include <sqlite3.h>
#include <algorithm>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>

namespace txm::fault_test {
namespace {

struct Close {
    void operator()(sqlite3* db) const { sqlite3_close(db); }
};

using Text = std::string;

/// Rows of a query, each column as text; none while the file or table is not there yet.
std::vector<std::vector<Text>> rows(const std::string& database, const std::string& sql) {
    sqlite3* raw = nullptr;
    const int opened = sqlite3_open_v2(database.c_str(), &raw, SQLITE_OPEN_READWRITE, nullptr);
    const std::unique_ptr<sqlite3, Close> db{raw};
    if (opened != SQLITE_OK)
        return {};
    sqlite3_busy_timeout(raw, 60'000);
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(raw, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
        const std::string message = sqlite3_errmsg(raw);
        if (message.find("no such table") != std::string::npos)
            return {};
        throw std::runtime_error(database + ": " + message);
    }
    std::vector<std::vector<Text>> result;
    int code = 0;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        auto& row = result.emplace_back();
        for (int column = 0; column < sqlite3_column_count(statement); ++column) {
            const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
            row.emplace_back(text ? text : "");
        }
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE)
        throw std::runtime_error(database + ": " + sqlite3_errmsg(raw));
    return result;
}

std::vector<Event> events(const std::string& database, const std::string& sql) {
    std::vector<Event> result;
    for (auto& row : rows(database, sql))
        result.push_back({std::move(row[0]), std::move(row[1])});
    return result;
}

std::set<std::string> first_column(const std::string& database, const std::string& sql) {
    std::set<std::string> result;
    for (auto& row : rows(database, sql))
        result.insert(std::move(row[0]));
    return result;
}

/// The value of a text key in a JSON line that txm wrote; empty when the line is cut.
std::string value_of(const std::string& line, const std::string& key) {
    const std::string name = '"' + key + "\":\"";
    const auto begin = line.find(name);
    if (begin == std::string::npos || !line.ends_with('}'))
        return {};
    const auto end = line.find('"', begin + name.size());
    return line.substr(begin + name.size(), end - begin - name.size());
}

/// Lines `message_id aggregate_id`.
std::vector<Event> plain_events(const std::string& file) {
    std::vector<Event> result;
    std::ifstream lines{file};
    for (std::string line; std::getline(lines, line);)
        if (line.find(' ') == 36)
            result.push_back({line.substr(0, 36), line.substr(37)});
    return result;
}

long long number(const std::string& database, const std::string& sql) {
    const auto found = rows(database, sql);
    return found.empty() || found[0][0].empty() ? 0 : std::stoll(found[0][0]);
}

}  // namespace

std::vector<Event> printed_events(const std::string& file) {
    std::vector<Event> result;
    std::ifstream lines{file};
    for (std::string line; std::getline(lines, line);)
        if (std::string id = value_of(line, "message_id"); !id.empty())
            result.push_back({std::move(id), value_of(line, "aggregate_id")});
    return result;
}

void World::run(const std::vector<std::string>& command, const std::vector<int>& accepted,
                const std::string& out) const {
    Process process{command, {{"TXM_FAULT", ""}, {"TXM_BREAK", ""}}, path("finish.log"), out};
    const auto exit = process.wait_for(std::chrono::minutes(5));
    if (exit && std::ranges::find(accepted, exit->code) != accepted.end() && !exit->killed)
        return;
    std::string text = exit ? "exit code " + std::to_string(exit->code) : "no end after 5 minutes";
    for (const auto& word : command)
        text += " " + word;
    std::ifstream log{path("finish.log")};
    std::stringstream content;
    content << log.rdbuf();
    throw std::runtime_error(text + "\n" + content.str());
}

void World::drain(std::vector<std::string> relay, const std::string& store, const std::string& out) const {
    relay.emplace_back("--drain");
    run(relay, {0, 1}, out);
    run({binary("txm"), "messages", "replay", "--store", store, "--state", "dead", "--yes"});
    run(relay, {0}, out);
}

void World::run_sql(const std::string& database, const std::string& sql) const {
    sqlite3* raw = nullptr;
    const int opened = sqlite3_open(path(database).c_str(), &raw);
    const std::unique_ptr<sqlite3, Close> db{raw};
    sqlite3_busy_timeout(raw, 60'000);
    if (opened != SQLITE_OK || sqlite3_exec(raw, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
        throw std::runtime_error(database + ": " + sqlite3_errmsg(raw));
}

void World::create_store() const {
    run({binary("txm"), "migrate", "--store", store()});
    run_sql("app.db",
            "create table domain (id integer primary key autoincrement, message_id text unique, aggregate_id text)");
}

std::vector<std::string> World::app_command(int pause_ms) const {
    return {binary("fault_app"), path("app.db"), path("told"), "40", "3", std::to_string(pause_ms)};
}

void World::read_told(History& history) const {
    std::ifstream told{path("told")};
    for (std::string line; std::getline(told, line);)
        if (line.size() == 37)  // a kill may have cut the last one
            (line[0] == '+' ? history.confirmed : history.refused).insert(line.substr(1));
}

History World::observe_store(bool outbox_is_kept) const {
    History history;
    read_told(history);
    history.dead = first_column(path("app.db"), "select message_id from outbox where state = 3");
    if (!outbox_is_kept) {  // the application's own rows tell
        history.commits = events(path("app.db"), "select message_id, aggregate_id from domain order by id");
        return history;
    }
    history.commits = events(path("app.db"), "select message_id, aggregate_id from outbox order by sequence");
    // A message without its data, or data without its message: the transaction was torn.
    history.refused.merge(
        first_column(path("app.db"), "select message_id from outbox except select message_id from domain"));
    history.confirmed.merge(
        first_column(path("app.db"), "select message_id from domain except select message_id from outbox"));
    return history;
}

void World::excuse_dead(History& history) {
    for (const auto& commit : history.commits)
        if (history.dead.contains(commit.message_id))
            history.excused.insert(commit.aggregate_id);
}

void PipelineWorld::create() {
    create_store();
    run({binary("txm"), "migrate", "--store", "sqlite:" + path("effects.db")});
    run_sql("effects.db",
            "create table effect (id integer primary key autoincrement, message_id text, aggregate_id text);"
            // Poison passes now and then: else no parked lane would ever go on.
            "create trigger poison before insert on effect when new.message_id like 'poison%' and random() % 3 <> 0"
            " begin select raise(abort, 'poison'); end;");
    std::ofstream{path("effect.sql")}
        << "insert into effect (message_id, aggregate_id)\n"
           "values (iif(:payload = 'poison', 'poison ', '') || :message_id, :aggregate_id);\n";
    std::ofstream{path("txm.toml")}
        << "[relay]\nbackoff = \"5ms\"\nmax_backoff = \"50ms\"\n"
           "[consumer.judge]\nbackoff = \"5ms\"\nmax_backoff = \"50ms\"\npark_after = \"20ms\"\n"
           "max_attempts = 3\n";
}

std::vector<Role> PipelineWorld::roles() const {
    const std::string effects = "sqlite:" + path("effects.db"), broker = "local:" + path("broker.db");
    const Role relay{"relay",
                     {binary("txm"), "relay", "--config", path("txm.toml"), "--store", store(), "--broker", broker}};
    const Role consumer{"consumer",
                        {binary("txm"), "consume", "--config", path("txm.toml"), "--store", effects, "--broker", broker,
                         "--topic", "events", "--consumer", "judge", "--sql", path("effect.sql")}};
    const Role replay{"operator",
                      {binary("txm"), "messages", "replay", "--inbox", "--consumer", "judge", "--store", effects,
                       "--state", "dead", "--limit", "3", "--yes"},
                      {},
                      true};
    return {Role{"app", app_command()}, relay, relay, consumer, consumer, replay};
}

bool PipelineWorld::has_message_in_flight() const {
    return number(path("app.db"), "select exists (select 1 from outbox where state = 0)") != 0 ||
           number(path("broker.db"), "select max(offset) from message") >
               number(path("effects.db"), "select max(id) from effect");
}

History PipelineWorld::observe() const {
    // In the direction against the flow: what is read later can only know more.
    auto effects = events(path("effects.db"), "select message_id, aggregate_id from effect order by id");
    auto dead = first_column(path("effects.db"), "select message_id from inbox where state = 1");
    auto acknowledgements = events(path("broker.db"), "select message_id, aggregate_id from message order by offset");
    History history = observe_store();
    for (auto& effect : effects)
        if (effect.message_id.starts_with("poison "))
            effect.message_id.erase(0, 7);
    history.effects = std::move(effects);
    history.acknowledgements = std::move(acknowledgements);
    history.dead.merge(dead);
    excuse_dead(history);
    return history;
}

void PipelineWorld::finish() {
    const auto all = roles();
    auto consumer = all[3].command;
    consumer.emplace_back("--drain");
    drain(all[1].command, store());
    run(consumer, {0, 1});  // 1: some messages are dead letters still
    run_sql("effects.db", "drop trigger poison");
    run({binary("txm"), "messages", "replay", "--inbox", "--consumer", "judge", "--store",
         "sqlite:" + path("effects.db"), "--state", "dead", "--yes"});
    run(consumer);
}

void JournalWorld::create() {
    create_store();
}

std::vector<Role> JournalWorld::roles() const {
    const Role relay{"relay", {binary("fault_journal_relay"), path("app.db"), path("journal")}};
    const Role replay{
        "operator",
        {binary("txm"), "messages", "replay", "--store", store(), "--state", "dead", "--limit", "3", "--yes"},
        {},
        true};
    return {Role{"app", app_command()}, relay, relay, replay};
}

bool JournalWorld::has_message_in_flight() const {
    return number(path("app.db"), "select exists (select 1 from outbox where state = 0)") != 0;
}

History JournalWorld::observe() const {
    auto acknowledgements = plain_events(path("journal"));
    History history = observe_store();
    history.acknowledgements = std::move(acknowledgements);
    history.has_effects = false;
    excuse_dead(history);
    return history;
}

void JournalWorld::finish() {
    drain(roles()[1].command, store());
}

void LinesWorld::create() {
    create_store();
}

std::vector<Role> LinesWorld::roles() const {
    const Role relay{
        "relay", {binary("txm"), "relay", "--store", store(), "--broker", "stdout:"}, {}, false, path("lines")};
    return {Role{"app", app_command()}, relay, relay};
}

bool LinesWorld::has_message_in_flight() const {
    return number(path("app.db"), "select exists (select 1 from outbox where state = 0)") != 0;
}

History LinesWorld::observe() const {
    auto acknowledgements = printed_events(path("lines"));
    History history = observe_store();
    history.acknowledgements = std::move(acknowledgements);
    history.has_effects = false;
    excuse_dead(history);
    return history;
}

void LinesWorld::finish() {
    const auto relay = roles()[1];
    drain(relay.command, store(), relay.out);
}

void TidyWorld::create() {
    create_store();
    run({binary("txm"), "migrate", "--store", "sqlite:" + path("runs.db")});
    std::ofstream{path("txm.toml")} << "[outbox]\nretention = \"0s\"\n[inbox]\nretention = \"1s\"\n";
}

void TidyWorld::nudge() {
    if (number(path("broker.db"), "select count(*) from broker_meta") > 0)  // else it is not made yet
        run_sql("broker.db", "update broker_meta set value = 0 where key = 'purged_at'");
}

std::vector<Role> TidyWorld::roles() const {
    const std::string broker = "local:" + path("broker.db");
    const std::vector<std::string> consume{binary("txm"), "consume", "--config", path("txm.toml"), "--broker",
                                           broker,        "--topic", "events",   "--consumer"};
    const auto consumer = [&](std::vector<std::string> more) {
        auto command = consume;
        command.insert(command.end(), more.begin(), more.end());
        return command;
    };
    const std::string line = "printf '%s %s\\n' \"$TXM_MESSAGE_ID\" \"$TXM_AGGREGATE_ID\" >> '" + path("runs") + "'";
    return {Role{"app", app_command(100)},
            Role{"relay",
                 {binary("txm"), "relay", "--config", path("txm.toml"), "--store", store(), "--broker",
                  broker + "?retention=1s"}},
            Role{"printer", consumer({"printer", "--print"}), {}, false, path("printed")},
            Role{"runner",
                 consumer({"runner", "--store", "sqlite:" + path("runs.db"), "--policy", "skip", "--exec", line})}};
}

bool TidyWorld::has_message_in_flight() const {
    return number(path("app.db"), "select exists (select 1 from outbox where state = 0)") != 0 ||
           number(path("app.db"), "select count(*) from domain") >
               static_cast<long long>(plain_events(path("runs")).size());
}

History TidyWorld::observe() const {
    auto printed = printed_events(path("printed")), ran = plain_events(path("runs"));
    History history = observe_store(false);
    history.sinks = {std::move(printed), std::move(ran)};
    history.has_broker = history.has_effects = false;
    excuse_dead(history);
    return history;
}

void TidyWorld::finish() {
    for (auto role : roles()) {
        if (role.kind == "app")
            continue;
        if (role.kind == "relay") {
            drain(role.command, store());
            continue;
        }
        role.command.emplace_back("--drain");
        // 1: a late redelivery of what the inbox has forgotten is a dead letter, as it must be.
        run(role.command, role.kind == "runner" ? std::vector<int>{0, 1} : std::vector<int>{0}, role.out);
    }
}

}  // namespace txm::fault_test
