#include "cli/settings.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace txm::cli {

namespace {

using Kind = Setting::Kind;
constexpr auto flag = Setting::Source::flag;
constexpr auto environment = Setting::Source::environment;
constexpr auto file = Setting::Source::file;

// What selects messages for one invocation, or confirms it, is a flag alone: in the environment it would act by surprise.
constexpr std::array table{
    Setting{"config", environment, "", "", Kind::text, "FILE", "", every_command, "read settings from this TOML file"},
    Setting{"store", file, "store", "url", Kind::text, "URL", "", every_command,
            "the database, such as sqlite:orders.db"},
    Setting{"broker", file, "broker", "url", Kind::text, "URL", "", migrate | relay | consume | status | lambda,
            "the broker, such as local:topics.db or stdout:"},
    Setting{"format", environment, "", "", Kind::choice, "table|json", "table", every_command,
            "results as text for people or as JSON, one object a line"},
    Setting{"log_level", file, "log", "level", Kind::choice, "debug|info|warning|error", "info", every_command,
            "what is written to stderr"},
    Setting{"log_format", file, "log", "format", Kind::choice, "text|json", "text", every_command,
            "lines for people or JSON lines"},

    Setting{"print", flag, "", "", Kind::optional_choice, "sql|cloudformation|terraform", "sql", migrate,
            "show what would be created instead of creating it"},
    Setting{"topic", flag, "", "", Kind::list, "TOPIC", "", migrate, "a topic to create where the broker needs it"},
    Setting{"consumer", flag, "", "", Kind::list, "NAME", "", migrate,
            "a consumer to prepare where the broker needs it"},

    Setting{"batch", file, "outbox", "batch", Kind::number, "N", "100", publish, "lines a transaction, at most"},

    Setting{"max_payload", file, "outbox", "max_payload", Kind::number, "BYTES", "1048576", publish | relay | lambda,
            "a larger payload is refused; one that another program inserted is a dead letter"},

    Setting{"drain", file, "relay", "drain", Kind::flag, "", "false", relay,
            "end when nothing is pending or parked for retry"},
    Setting{"policy", file, "relay", "policy", Kind::choice, "hold|skip", "hold", relay,
            "after a dead letter its aggregate waits for an operator, or goes on without it"},
    Setting{"max_attempts", file, "relay", "max_attempts", Kind::number, "N", "10", relay,
            "refusals until a message is a dead letter"},
    Setting{"feed", file, "relay", "feed", Kind::choice, "tail|poll|log", "", relay,
            "how to read the outbox, of the ways the store has"},
    Setting{"accept_loss", file, "relay", "accept_loss", Kind::flag, "", "false", relay | lambda,
            "start although the broker's settings can lose acknowledged messages"},
    Setting{"timeout", file, "relay", "timeout", Kind::duration, "DURATION", "", relay,
            "give up when the broker is unreachable for that long"},
    Setting{"relay_batch", file, "relay", "batch", Kind::number, "N", "512", relay,
            "messages sent to the broker at once"},
    Setting{"max_in_flight", file, "relay", "max_in_flight", Kind::number, "N", "4096", relay,
            "messages in memory, at most"},
    Setting{"backoff", file, "relay", "backoff", Kind::duration, "DURATION", "100ms", relay,
            "wait after a first failure; doubles each time"},
    Setting{"max_backoff", file, "relay", "max_backoff", Kind::duration, "DURATION", "1m", relay,
            "longest wait between attempts"},
    Setting{"park_after", file, "relay", "park_after", Kind::duration, "DURATION", "1s", relay,
            "a blocked aggregate moves from memory to the store after that"},
    Setting{"outbox_retention", file, "outbox", "retention", Kind::duration, "DURATION|forever", "7d", relay | lambda,
            "dispatched messages older than that are deleted; 0: at once"},

    Setting{"topic", file, "consumer", "topic", Kind::list, "TOPIC", "", consume,
            "a topic to consume; may be repeated"},
    Setting{"consumer", environment, "", "", Kind::text, "NAME", "default", consume | messages,
            "the name under which effects are recorded: two services need two, also at one broker; of --print: print"},
    Setting{"from", file, "consumer", "from", Kind::choice, "start|end", "start", consume,
            "where a new consumer begins in its topics"},
    Setting{"drain", file, "consumer", "drain", Kind::flag, "", "false", consume,
            "end when all that was there at the start is settled or parked"},
    Setting{"sql", file, "consumer", "sql", Kind::text, "FILE", "", consume,
            "run these statements in the inbox's transaction: exactly once"},
    Setting{"exec", file, "consumer", "exec", Kind::text, "COMMAND", "", consume,
            "run a command per message: at least once; exit 0 is done, 65 a dead letter"},
    Setting{"print", file, "consumer", "print", Kind::flag, "", "false", consume,
            "write each message as a JSON line; needs no store"},
    Setting{"policy", file, "consumer", "policy", Kind::choice, "hold|skip", "hold", consume,
            "after a dead letter its aggregate waits for an operator, or goes on without it"},
    Setting{"max_attempts", file, "consumer", "max_attempts", Kind::number, "N", "10", consume,
            "failures until a message is a dead letter"},
    Setting{"timeout", file, "consumer", "timeout", Kind::duration, "DURATION", "", consume,
            "give up when the broker is unreachable for that long"},
    Setting{"max_in_flight", file, "consumer", "max_in_flight", Kind::number, "N", "64", consume,
            "messages handled at a time, each of another aggregate"},
    Setting{"backoff", file, "consumer", "backoff", Kind::duration, "DURATION", "100ms", consume,
            "wait after a first failure; doubles each time"},
    Setting{"max_backoff", file, "consumer", "max_backoff", Kind::duration, "DURATION", "1m", consume,
            "longest wait between attempts"},
    Setting{"park_after", file, "consumer", "park_after", Kind::duration, "DURATION", "30s", consume,
            "a blocked aggregate moves from memory to the store after that"},
    Setting{"inbox_retention", file, "inbox", "retention", Kind::duration, "DURATION|forever", "14d", consume,
            "handled messages are remembered that long"},

    Setting{"admin", file, "admin", "listen", Kind::text, "HOST:PORT", "", relay | consume,
            "serve /metrics, /healthz and /readyz; 127.0.0.1 unless HOST says otherwise"},

    Setting{"inbox", flag, "", "", Kind::flag, "", "false", messages, "a consumer's inbox instead of the outbox"},
    Setting{"state", flag, "", "", Kind::text, "STATE", "", messages,
            "pending, dispatched, parked or dead; of an inbox processed, dead, skipped or parked"},
    Setting{"topic", flag, "", "", Kind::text, "TOPIC", "", messages, "of that topic"},
    Setting{"aggregate", flag, "", "", Kind::text, "ID", "", messages, "of that aggregate"},
    Setting{"correlation", flag, "", "", Kind::text, "UUID", "", messages, "of that correlation_id"},
    Setting{"since", flag, "", "", Kind::text, "TIME|AGE", "", messages, "stored at or after a time, or that long ago"},
    Setting{"before", flag, "", "", Kind::text, "TIME|AGE", "", messages, "stored before a time, or longer ago"},
    Setting{"limit", flag, "", "", Kind::number, "N", "", messages, "at most so many"},
    Setting{"yes", flag, "", "", Kind::flag, "", "false", messages, "do it for all that the filters select"},
};

std::string command_names(unsigned commands) {
    if (commands == every_command)
        return "all";
    constexpr std::array names{"migrate", "publish", "relay", "consume", "messages", "status", "lambda"};
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i)
        if (commands & (1U << i))
            text += (text.empty() ? "" : ", ") + std::string(names[i]);
    return text;
}

std::string escaped(std::string_view text) {
    std::string result;
    for (const char c : text)
        result += c == '|' ? std::string("\\|") : std::string(1, c);
    return result;
}

}  // namespace

std::string Setting::flag() const {
    std::string text = "--" + std::string(name);
    std::replace(text.begin(), text.end(), '_', '-');
    return text;
}

std::string Setting::variable() const {
    std::string text = "TXM_" + std::string(name);
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return char(std::toupper(c)); });
    return text;
}

std::string Setting::file_key() const {
    return std::string(section) + (section == "consumer" ? ".NAME." : ".") + std::string(key);
}

std::span<const Setting> settings() {
    return table;
}

const Setting* find_setting(std::string_view name, unsigned command) {
    for (const Setting& setting : table)
        if (setting.name == name && setting.commands & command)
            return &setting;
    return nullptr;
}

void print_settings(std::ostream& out) {
    out << "| flag | environment | key in the file | default | of | what |\n|---|---|---|---|---|---|\n";
    for (const Setting& s : table) {
        const std::string value = s.value.empty() ? std::string() : " " + escaped(s.value);
        out << "| `" << s.flag() << value << "` | ";
        out << (s.source == Setting::Source::flag ? std::string() : "`" + s.variable() + "`") << " | ";
        out << (s.source == Setting::Source::file ? "`" + s.file_key() + "`" : std::string()) << " | ";
        out << (s.kind == Kind::flag || s.fallback.empty() ? std::string() : "`" + std::string(s.fallback) + "`")
            << " | ";
        out << command_names(s.commands) << " | " << s.help << " |\n";
    }
}

}  // namespace txm::cli
