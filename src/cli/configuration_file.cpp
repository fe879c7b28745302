#include "cli/configuration.hpp"

#include <toml++/toml.h>

#include <fstream>
#include <sstream>

namespace txm::cli {

namespace {

class Reader {
public:
    explicit Reader(const std::string& path) : path_(path) {}

    FileContent read(const toml::table& root) {
        for (const auto& [name, node] : root) {
            const std::string section{name.str()};
            const toml::table& table = table_of(node, section);
            if (section == "consumer") {
                for (const auto& [consumer, keys] : table)
                    read_section("consumer", section + "." + std::string(consumer.str()),
                                 table_of(keys, section + "." + std::string(consumer.str())));
            } else {
                read_section(section, section, table);
            }
        }
        return std::move(content_);
    }

private:
    std::string at(const toml::node& node) const {
        return path_ + ":" + std::to_string(node.source().begin.line) + ": ";
    }

    const toml::table& table_of(const toml::node& node, const std::string& section) const {
        bool known = section == "consumer";
        std::string sections = "consumer.NAME";
        for (const Setting& setting : settings()) {
            if (setting.source != Setting::Source::file || setting.section == "consumer")
                continue;
            known = known || setting.section == section;
            if (sections.find(std::string(setting.section)) == std::string::npos)
                sections += ", " + std::string(setting.section);
        }
        if (!known && !section.starts_with("consumer."))
            throw UsageError(at(node) + "unknown " +
                             (node.is_table() ? "section [" + section + "]" : "key '" + section + "'") +
                             " (the sections are " + sections + ")");
        if (!node.is_table())
            throw UsageError(at(node) + section + " must be a section: [" +
                             (section == "consumer" ? "consumer.NAME" : section) + "]");
        return *node.as_table();
    }

    void read_section(std::string_view kind, const std::string& section, const toml::table& table) {
        for (const auto& [name, node] : table) {
            const std::string key{name.str()}, full = joined(section, key);
            Given given{texts_of(node, full), at(node) + full};
            if (const Setting* setting = find_key(kind, key)) {
                if (given.texts.size() != 1 && setting->kind != Setting::Kind::list)
                    throw UsageError(given.origin + " takes one value, not an array");
                content_.values.emplace(full, std::move(given));
            } else if (kind == "store" || kind == "broker") {
                if (given.texts.size() != 1)
                    throw UsageError(given.origin + " takes one value, not an array");
                auto& options = kind == "store" ? content_.store_options : content_.broker_options;
                options.push_back({key, given.texts.front(), given.origin});
            } else {
                refuse(node, key, section, kind);
            }
        }
    }

    [[noreturn]] void refuse(const toml::node& node, const std::string& key, const std::string& section,
                             std::string_view kind) const {
        throw UsageError(at(node) + "unknown key '" + key + "' in [" + section + "] (known: " + keys_of(kind) + ")");
    }

    static std::string joined(const std::string& section, const std::string& key) { return section + "." + key; }

    static const Setting* find_key(std::string_view section, std::string_view key) {
        for (const Setting& setting : settings())
            if (setting.source == Setting::Source::file && setting.section == section && setting.key == key)
                return &setting;
        return nullptr;
    }

    static std::string keys_of(std::string_view section) {
        std::string keys;
        for (const Setting& setting : settings())
            if (setting.source == Setting::Source::file && setting.section == section)
                keys += (keys.empty() ? "" : ", ") + std::string(setting.key);
        return keys;
    }

    std::vector<std::string> texts_of(const toml::node& node, const std::string& name) const {
        if (const auto* text = node.as_string())
            return {text->get()};
        if (const auto* number = node.as_integer())
            return {std::to_string(number->get())};
        if (const auto* truth = node.as_boolean())
            return {truth->get() ? "true" : "false"};
        if (const auto* array = node.as_array()) {
            std::vector<std::string> texts;
            for (const auto& element : *array) {
                if (!element.is_string())
                    throw UsageError(at(element) + name + " takes strings");
                texts.push_back(element.as_string()->get());
            }
            return texts;
        }
        throw UsageError(at(node) + name + " must be a string, a whole number, true or false");
    }

    const std::string& path_;
    FileContent content_;
};

}  // namespace

FileContent read_file(const std::string& path) {
    std::ifstream stream{path, std::ios::binary};
    std::ostringstream text;
    if (!stream || !(text << stream.rdbuf()))
        throw UsageError("cannot read the configuration file " + path);
    try {
        const toml::table root = toml::parse(text.str(), std::string_view(path));
        return Reader{path}.read(root);
    } catch (const toml::parse_error& error) {
        throw UsageError(path + ":" + std::to_string(error.source().begin.line) + ": " +
                         std::string(error.description()));
    }
}

}  // namespace txm::cli
