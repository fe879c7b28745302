#include "cli/url.hpp"

#include "cli/settings.hpp"
#include "cli/values.hpp"

#include <algorithm>
#include <cctype>

namespace txm::cli {

namespace {

std::string origin_of(const std::string& parameter, const std::string& origin) {
    return origin + ": parameter '" + parameter + "'";
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

std::string decoded(std::string_view text, const std::string& origin) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            result += text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low < 0 || high * 16 + low == 0)
            throw UsageError(origin + ": '" + std::string(text.substr(i, 3)) +
                             "' is not a percent-encoded byte (write % as %25)");
        result += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return result;
}

bool is_secret(std::string_view name) {
    std::string lower{name};
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    for (const std::string_view word : {"password", "secret", "token", "key", "credential"})
        if (lower.find(word) != std::string::npos)
            return true;
    return false;
}

}  // namespace

Url parse_url(std::string_view text, const std::string& origin) {
    const std::size_t colon = text.find(':');
    const auto is_scheme = [](std::string_view name) {
        return !name.empty() &&
               std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '+'; });
    };
    if (colon == std::string_view::npos || !is_scheme(text.substr(0, colon)))
        throw UsageError(origin + ": '" + redacted(text) +
                         "' is not a URL such as sqlite:orders.db or local:topics.db");

    Url url;
    url.shown = redacted(text);
    url.scheme = text.substr(0, colon);
    const std::size_t question = text.find('?', colon);
    url.rest =
        decoded(text.substr(colon + 1, question == std::string_view::npos ? question : question - colon - 1), origin);
    std::string_view query = question == std::string_view::npos ? std::string_view{} : text.substr(question + 1);
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view parameter = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        const std::size_t equals = parameter.find('=');
        if (equals == std::string_view::npos || equals == 0)
            throw UsageError(origin + ": '" + std::string(parameter) + "' is not a parameter of the form name=value");
        const std::string name{parameter.substr(0, equals)};
        for (const Option& other : url.options)
            if (other.name == name)
                throw UsageError(origin_of(name, origin).append(" is given twice"));
        url.options.push_back({name, decoded(parameter.substr(equals + 1), origin), origin_of(name, origin)});
    }
    return url;
}

std::string redacted(std::string_view text) {
    std::string result{text};
    // user:password@ of the authority, and of URLs among the parameters. Of a key that holds slashes, too.
    for (std::size_t slashes = result.find("://"); slashes != std::string::npos;
         slashes = result.find("://", slashes + 3)) {
        const std::size_t begin = slashes + 3;
        const std::size_t end = std::min(result.find_first_of("?&", begin), result.size());
        const std::size_t at = result.rfind('@', end);
        const std::size_t colon = result.find(':', begin);
        if (at != std::string::npos && at > begin && colon < at && result[begin] != '/')
            result.replace(colon + 1, at - colon - 1, "***");
    }
    for (std::size_t at = result.find('?'); at != std::string::npos && at + 1 < result.size();) {
        const std::size_t end = std::min(result.find('&', at + 1), result.size());
        const std::size_t equals = result.find('=', at + 1);
        std::size_t next = end;
        if (equals < end && is_secret(std::string_view(result).substr(at + 1, equals - at - 1))) {
            result.replace(equals + 1, end - equals - 1, "***");
            next = equals + 4;
        }
        at = next < result.size() ? next : std::string::npos;
    }
    return result;
}

Options::Options(std::string scheme, std::vector<Option> options)
    : scheme_(std::move(scheme)), options_(std::move(options)) {}

const Option* Options::find(std::string_view name) {
    if (std::find(known_.begin(), known_.end(), name) == known_.end())
        known_.emplace_back(name);
    for (auto option = options_.rbegin(); option != options_.rend(); ++option)
        if (option->name == name)
            return &*option;
    return nullptr;
}

std::string Options::text(std::string_view name, std::string_view fallback) {
    const Option* option = find(name);
    return option ? option->value : std::string(fallback);
}

std::string Options::choice(std::string_view name, std::string_view choices, std::string_view fallback) {
    const Option* option = find(name);
    if (!option)
        return std::string(fallback);
    check_choice(option->value, choices, option->origin);
    return option->value;
}

bool Options::flag(std::string_view name, bool fallback) {
    const Option* option = find(name);
    return option ? parse_flag(option->value, option->origin) : fallback;
}

std::chrono::milliseconds Options::duration(std::string_view name, std::chrono::milliseconds fallback) {
    const Option* option = find(name);
    return option ? parse_duration(option->value, option->origin) : fallback;
}

const Option* Options::find_secret() const {
    const auto found =
        std::find_if(options_.begin(), options_.end(), [](const Option& option) { return is_secret(option.name); });
    return found == options_.end() ? nullptr : &*found;
}

void Options::refuse_others() const {
    for (const Option& option : options_) {
        if (std::find(known_.begin(), known_.end(), option.name) != known_.end())
            continue;
        std::string list;
        for (const std::string& name : known_)
            list += (list.empty() ? "" : ", ") + name;
        throw UsageError(option.origin + " is unknown: " + scheme_ + ": has " + (list.empty() ? "no options" : list));
    }
}

}  // namespace txm::cli
