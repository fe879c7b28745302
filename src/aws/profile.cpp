#include "aws/profile.hpp"

#include "aws/environment.hpp"
#include "txm/error.hpp"

#include <fstream>
#include <string_view>

namespace txm::aws::detail {
namespace {

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos)
        return {};
    return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::string path_of(const char* variable, const char* below_home) {
    const std::string given = environment(variable);
    if (given.rfind("~/", 0) == 0)
        return environment("HOME") + given.substr(1);
    return given.empty() ? environment("HOME") + below_home : given;
}

// The name inside `[name]`, `[profile name]` or `[ profile  "name" ]`; other sections of the config file have none.
std::string_view profile_in(std::string_view section, bool is_config) {
    section = trimmed(section);
    constexpr std::string_view prefix = "profile";
    if (is_config && section != "default") {
        if (section.substr(0, prefix.size()) != prefix || section.size() == prefix.size() ||
            (section[prefix.size()] != ' ' && section[prefix.size()] != '\t'))
            return {};
        section = trimmed(section.substr(prefix.size()));
    }
    if (section.size() >= 2 && section.front() == '"' && section.back() == '"')
        section = section.substr(1, section.size() - 2);
    return section;
}

[[noreturn]] void refuse(const std::string& path, int number) {
    throw Error(Errc::invalid_configuration, "line " + std::to_string(number) + " of " + path +
                                                 " cannot be understood: a line is [profile NAME] or KEY = VALUE");
}

// https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html. What is set already stays: the credentials file comes
// before the config file. Indented lines belong to a nested section, of which nothing is needed here.
bool read_file(const std::string& path, bool is_config, Profile& profile) {
    std::ifstream file(path);
    bool is_there = false;
    bool is_inside = false;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        const std::string_view text = trimmed(line);
        if (text.empty() || text.front() == '#' || text.front() == ';' || line.front() == ' ' || line.front() == '\t')
            continue;
        if (text.front() == '[') {
            const std::size_t end = text.find(']');
            if (end == std::string_view::npos)
                refuse(path, number);
            is_inside = profile_in(text.substr(1, end - 1), is_config) == profile.name;
            is_there = is_there || is_inside;
            continue;
        }
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos)
            refuse(path, number);
        if (is_inside)
            profile.values.emplace(trimmed(text.substr(0, equals)), trimmed(text.substr(equals + 1)));
    }
    return is_there;
}

}  // namespace

std::optional<Profile> find_profile(const std::string& name) {
    std::string named = name.empty() ? environment("AWS_PROFILE") : name;
    const bool is_named = !named.empty();
    Profile profile(is_named ? std::move(named) : "default");
    const std::string credentials = path_of("AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials");
    const std::string config = path_of("AWS_CONFIG_FILE", "/.aws/config");
    const bool has_credentials = read_file(credentials, false, profile);
    const bool has_config = read_file(config, true, profile);
    if (has_credentials || has_config)
        return profile;
    if (is_named)
        throw Error(Errc::invalid_configuration, "the AWS profile \"" + profile.name + "\" is neither in " +
                                                     credentials + " nor in " + config +
                                                     ": add it, or name another one");
    return std::nullopt;
}

}  // namespace txm::aws::detail
