#include "cli/configuration.hpp"

#include "cli/values.hpp"

#include <cstdlib>

namespace txm::cli {

namespace {

using Kind = Setting::Kind;

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        parts.emplace_back(text.substr(0, comma));
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return parts;
}

std::optional<Given> from_environment(const Setting& setting) {
    if (setting.source == Setting::Source::flag)
        return {};
    const char* text = std::getenv(setting.variable().c_str());
    if (!text || (!*text && setting.name != "consumer"))
        return {};
    Given given{{text}, setting.variable()};
    if (setting.kind == Kind::list)
        given.texts = split(text);
    return given;
}

}  // namespace

Configuration::Configuration(unsigned command, std::map<std::string, Given> flags) : command_(command) {
    const auto add = [&](const Setting& row, Given given) {
        check(row, given);
        given_.emplace(row.name, std::move(given));
    };
    for (const Setting& row : settings()) {
        if (!(row.commands & command))
            continue;
        if (const auto flag = flags.find(std::string(row.name)); flag != flags.end())
            add(row, flag->second);
        else if (auto given = from_environment(row))
            add(row, std::move(*given));
    }

    const auto path = find("config");
    if (!path)
        return;
    FileContent file = read_file(*path);
    store_options_ = std::move(file.store_options);
    broker_options_ = std::move(file.broker_options);
    refuse_unknown_consumer(file, *path);
    for (const Setting& row : settings()) {
        if (!(row.commands & command) || row.source != Setting::Source::file || given_.contains(row.name))
            continue;
        std::string key = row.file_key();
        if (row.section == "consumer")
            key = "consumer." + text("consumer") + "." + std::string(row.key);
        if (const auto given = file.values.find(key); given != file.values.end())
            add(row, given->second);
    }
}

// Its settings would silently not be those that were meant.
void Configuration::refuse_unknown_consumer(const FileContent& file, const std::string& path) const {
    if (command_ != consume || !given_.contains("consumer"))
        return;
    std::string known;
    for (const auto& [key, given] : file.values) {
        if (!key.starts_with("consumer."))
            continue;
        const std::string name = key.substr(9, key.rfind('.') - 9);
        if (name == text("consumer"))
            return;
        if (!known.ends_with("[consumer." + name + "]"))
            known += (known.empty() ? "" : ", ") + ("[consumer." + name + "]");
    }
    if (!known.empty())
        throw UsageError(path + " has no section [consumer." + text("consumer") + "] (it has " + known + ")");
}

void Configuration::check(const Setting& row, const Given& given) const {
    for (const std::string& text : given.texts) {
        switch (row.kind) {
            case Kind::text:
            case Kind::list: break;
            case Kind::choice:
            case Kind::optional_choice: check_choice(text, row.value, given.origin); break;
            case Kind::number: parse_number(text, given.origin); break;
            case Kind::flag: parse_flag(text, given.origin); break;
            case Kind::duration:
                if (row.value.ends_with("forever"))
                    parse_retention(text, given.origin);
                else
                    parse_duration(text, given.origin);
        }
    }
}

const Setting& Configuration::setting(std::string_view name) const {
    const Setting* row = find_setting(name, command_);
    if (!row)
        throw std::logic_error("no setting " + std::string(name) + " of this command");
    return *row;
}

std::optional<std::string> Configuration::find(std::string_view name) const {
    const auto given = given_.find(name);
    if (given == given_.end() || given->second.texts.empty())
        return {};
    return given->second.texts.back();
}

std::string Configuration::text(std::string_view name) const {
    return find(name).value_or(std::string(setting(name).fallback));
}

std::string Configuration::required(std::string_view name) const {
    if (const auto value = find(name); value && !value->empty())
        return *value;
    const Setting& row = setting(name);
    std::string ways = row.flag() + " " + std::string(row.value) + ", " + row.variable();
    if (row.source == Setting::Source::file)
        ways += " or " + row.file_key() + " in the --config file";
    throw UsageError("no " + std::string(name) + " is given: use " + ways);
}

std::vector<std::string> Configuration::list(std::string_view name) const {
    const auto given = given_.find(name);
    return given == given_.end() ? std::vector<std::string>{} : given->second.texts;
}

bool Configuration::flag(std::string_view name) const {
    return parse_flag(text(name), origin(name));
}

std::int64_t Configuration::number(std::string_view name) const {
    return parse_number(text(name), origin(name));
}

std::chrono::milliseconds Configuration::duration(std::string_view name) const {
    return parse_duration(text(name), origin(name));
}

std::optional<std::chrono::seconds> Configuration::retention(std::string_view name) const {
    return parse_retention(text(name), origin(name));
}

std::string Configuration::origin(std::string_view name) const {
    const auto given = given_.find(name);
    return given == given_.end() ? setting(name).flag() : given->second.origin;
}

}  // namespace txm::cli
