#include "cli/arguments.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <filesystem>
#include <iostream>

namespace txm::cli {

namespace {

using Kind = Setting::Kind;

struct CommandHelp {
    Command command;
    const char* name;
    const char* what;
    const char* examples;
};

constexpr std::array commands{
    CommandHelp{migrate, "migrate", "Create or upgrade what is missing in a store and a broker",
                "  txm migrate --store sqlite:orders.db\n"
                "  txm migrate --store sqlite:orders.db --print sql"},
    CommandHelp{publish, "publish", "Put JSON Lines from FILE or stdin into the outbox",
                "  echo '{\"topic\":\"orders\",\"aggregate_id\":\"42\",\"payload\":{\"total\":5}}' |\n"
                "      txm publish --store sqlite:orders.db\n"
                "  txm publish --store sqlite:orders.db --batch 1000 messages.jsonl"},
    CommandHelp{relay, "relay", "Carry messages from the outbox to a broker until SIGTERM",
                "  txm relay --store sqlite:orders.db --broker local:topics.db\n"
                "  txm relay --store sqlite:orders.db --broker stdout: --drain >> messages.jsonl"},
    CommandHelp{consume, "consume", "Handle messages of a broker: with SQL, a command, or by printing them",
                "  txm consume --store sqlite:billing.db --broker local:topics.db --topic orders --sql apply.sql\n"
                "  txm consume --broker local:topics.db --topic orders --print"},
    CommandHelp{messages, "messages", "List, show, send again, give up or delete messages",
                "  txm messages list --store sqlite:orders.db --state dead\n"
                "  txm messages replay --store sqlite:orders.db --topic orders --state dead --yes"},
    CommandHelp{status, "status", "Backlog, blocked aggregates, dead letters, leases; exit code 1 when unhealthy",
                "  txm status --store sqlite:orders.db\n"
                "  txm status --store sqlite:orders.db --broker local:topics.db --format json"},
    CommandHelp{lambda, "lambda", "Be AWS Lambda's custom runtime: relay what a table's stream tells of",
                "  txm lambda --store dynamodb://eu-west-1/outbox --broker sns://eu-west-1/shop-\n"
                "  TXM_STORE=dynamodb:///outbox TXM_BROKER=sns:///shop- txm lambda"},
};

struct ActionHelp {
    const char* name;
    const char* what;
    const char* examples;
};

constexpr std::array actions{
    ActionHelp{"list", "List messages, in order",
               "  txm messages list --store sqlite:orders.db --state parked --limit 20\n"
               "  txm messages list --store sqlite:billing.db --inbox --consumer billing --state dead"},
    ActionHelp{"show", "Show messages with everything that is known of them",
               "  txm messages show --store sqlite:orders.db 01890a5d-ac96-774b-bcce-b302099a8057\n"
               "  txm messages show --store sqlite:orders.db --aggregate 42 --format json"},
    ActionHelp{"replay", "Send messages again, dispatched and dead ones included",
               "  txm messages replay --store sqlite:orders.db 01890a5d-ac96-774b-bcce-b302099a8057\n"
               "  txm messages replay --store sqlite:orders.db --state dead --yes"},
    ActionHelp{"skip", "Give up parked and dead messages, so that their aggregates go on without them",
               "  txm messages skip --store sqlite:orders.db 01890a5d-ac96-774b-bcce-b302099a8057\n"
               "  txm messages skip --store sqlite:billing.db --inbox --consumer billing --aggregate 42 --yes"},
    ActionHelp{"purge", "Delete dispatched (or dead) messages, or rows of an inbox, older than --before",
               "  txm messages purge --store sqlite:orders.db --before 30d\n"
               "  txm messages purge --store sqlite:orders.db --before 30d --state dead"},
};

/// What CLI11 fills: it needs stable addresses.
struct Values {
    std::deque<std::pair<std::string, std::vector<std::string>>> by_name;
    std::vector<std::string> operands;
};

void add_settings(CLI::App& app, unsigned command, Values& values) {
    for (const Setting& setting : settings()) {
        if (!(setting.commands & command))
            continue;
        auto& texts = values.by_name.emplace_back(std::string(setting.name), std::vector<std::string>{}).second;
        std::string help{setting.help};
        if (!setting.fallback.empty() && setting.kind != Kind::flag)
            help += " [" + std::string(setting.fallback) + "]";
        if (setting.source != Setting::Source::flag)
            help += " (" + setting.variable() + ")";
        CLI::Option* option = nullptr;
        if (setting.kind == Kind::flag) {
            option = app.add_flag_function(
                setting.flag(), [&texts](std::int64_t count) { texts.push_back(count > 0 ? "true" : "false"); }, help);
        } else if (setting.kind == Kind::optional_choice) {
            option = app.add_option_function<std::vector<std::string>>(
                            setting.flag(),
                            [&texts, &setting](const std::vector<std::string>& given) {
                                texts = {given.empty() || given.front().empty() ? std::string(setting.fallback)
                                                                                : given.front()};
                            },
                            help)
                         ->expected(0, 1);
        } else {
            option = app.add_option(setting.flag(), texts, help)->allow_extra_args(false);
            if (setting.kind != Kind::list)
                option->expected(1);
        }
        if (setting.kind != Kind::flag)
            option->type_name(std::string(setting.value));
    }
}

Arguments collect(unsigned command, Values& values) {
    Arguments arguments;
    arguments.command = command;
    arguments.operands = std::move(values.operands);
    for (auto& [name, texts] : values.by_name) {
        if (texts.empty())
            continue;
        std::string flag = find_setting(name, command)->flag();
        arguments.flags.emplace(name, Given{std::move(texts), std::move(flag)});
    }
    return arguments;
}

}  // namespace

std::optional<Arguments> parse_arguments(int argc, char** argv) {
    CLI::App app{"txm: transactional outbox, inbox and relay", "txm"};
    app.set_version_flag("--version", "txm " TXM_VERSION);
    app.set_help_flag("-h,--help", "Print this help");
    app.require_subcommand(1);
    app.footer(
        "'txm COMMAND --help' says more. Exit codes: 0 done, 1 failed or messages left held or dead, 2 wrong usage.");
    bool print_table = false;
    app.add_flag("--settings", print_table, "")->group("");  // for docs/command-line.md and its test

    std::deque<Values> values;
    std::optional<Arguments> result;
    for (const CommandHelp& help : commands) {
        CLI::App& command = *app.add_subcommand(help.name, help.what);
        if (help.command == messages) {
            command.require_subcommand(1);
            command.footer(std::string("Examples:\n") + help.examples);
            for (const ActionHelp& action : actions) {
                CLI::App& sub = *command.add_subcommand(action.name, action.what);
                sub.footer(std::string("Examples:\n") + action.examples);
                Values& own = values.emplace_back();
                add_settings(sub, messages, own);
                sub.add_option("ID", own.operands, "message ids");
                sub.callback([&result, &own, name = action.name] {
                    result = collect(messages, own);
                    result->action = name;
                });
            }
            continue;
        }
        command.footer(std::string("Examples:\n") + help.examples);
        Values& own = values.emplace_back();
        add_settings(command, help.command, own);
        if (help.command == publish)
            command.add_option("FILE", own.operands, "JSON Lines; - or nothing: stdin")->expected(0, 1);
        command.callback([&result, &own, bit = help.command] { result = collect(bit, own); });
    }

    // What Lambda starts: a link to the program, or the program under that name.
    char program[] = "txm", command_name[] = "lambda";
    char* as_lambda[] = {program, command_name, nullptr};
    if (argc == 1 && std::filesystem::path(argv[0]).filename() == "bootstrap") {
        argc = 2;
        argv = as_lambda;
    }
    if (argc == 2 && std::string_view(argv[1]) == "--settings") {
        print_settings(std::cout);
        return {};
    }
    if (argc < 2)
        throw UsageError("which command? (see txm --help)");
    const std::string first = argv[1];
    const auto is_first = [&](const CommandHelp& help) { return first == help.name; };
    if (!first.starts_with('-') && std::none_of(commands.begin(), commands.end(), is_first))
        throw UsageError("unknown command '" + first + "' (see txm --help)");
    try {
        app.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
        const CLI::App* asked = &app;
        std::string before;
        while (!asked->get_subcommands().empty()) {
            before += (before.empty() ? "" : " ") + asked->get_name();
            asked = asked->get_subcommands().front();
        }
        std::cout << asked->help(before) << std::flush;
        return {};
    } catch (const CLI::CallForVersion&) {
        std::cout << "txm " TXM_VERSION "\n" << std::flush;
        return {};
    } catch (const CLI::ParseError& error) {
        std::string what = error.what();
        for (char& c : what)
            if (c == '\n')
                c = ' ';
        std::string name = "txm";
        for (const CLI::App* asked = &app; !asked->get_subcommands().empty();) {
            asked = asked->get_subcommands().front();
            name += " " + asked->get_name();
        }
        throw UsageError(what + " (see " + name + " --help)");
    }
    return result;
}

}  // namespace txm::cli
