#include "cli/values.hpp"

#include "cli/settings.hpp"

#include <array>
#include <charconv>
#include <limits>

namespace txm::cli {

namespace {

[[noreturn]] void refuse(const std::string& origin, const std::string& expected, std::string_view text) {
    throw UsageError(origin + " must be " + expected + ", not '" + std::string(text) + "'");
}

struct Unit {
    std::string_view name;
    std::int64_t milliseconds;
};
constexpr std::array units{Unit{"ms", 1},        Unit{"s", 1000},       Unit{"m", 60'000},
                           Unit{"h", 3'600'000}, Unit{"d", 86'400'000}, Unit{"w", 604'800'000}};

std::optional<std::chrono::milliseconds> try_duration(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || number < 0)
        return {};
    const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
    if (number == 0 && unit.empty())
        return std::chrono::milliseconds{0};
    for (const Unit& known : units)
        if (unit == known.name && number <= std::numeric_limits<std::int64_t>::max() / 1'000'000 / known.milliseconds)
            return std::chrono::milliseconds{number * known.milliseconds};
    return {};
}

}  // namespace

std::int64_t parse_number(std::string_view text, const std::string& origin) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > 1'000'000'000)
        refuse(origin, "a whole number from 1 to 1000000000", text);
    return number;
}

std::chrono::milliseconds parse_duration(std::string_view text, const std::string& origin) {
    const auto duration = try_duration(text);
    if (!duration)
        refuse(origin, "a duration such as 250ms, 10s, 5m, 12h or 7d", text);
    return *duration;
}

std::optional<std::chrono::seconds> parse_retention(std::string_view text, const std::string& origin) {
    if (text == "forever")
        return {};
    const auto duration = try_duration(text);
    if (!duration)
        refuse(origin, "a duration such as 12h or 7d, or forever", text);
    return std::chrono::ceil<std::chrono::seconds>(*duration);
}

bool parse_flag(std::string_view text, const std::string& origin) {
    if (text == "true" || text == "1" || text == "yes" || text == "on")
        return true;
    if (text != "false" && text != "0" && text != "no" && text != "off")
        refuse(origin, "true or false", text);
    return false;
}

void check_choice(std::string_view text, std::string_view choices, const std::string& origin) {
    for (std::string_view rest = choices;;) {
        const std::size_t bar = rest.find('|');
        if (text == rest.substr(0, bar))
            return;
        if (bar == std::string_view::npos)
            break;
        rest.remove_prefix(bar + 1);
    }
    std::string list{choices};
    for (std::size_t at = 0; (at = list.find('|', at)) != std::string::npos; at += 2)
        list.replace(at, 1, ", ");
    refuse(origin, "one of " + list, text);
}

Timestamp parse_time(std::string_view text, const std::string& origin) {
    if (const auto age = try_duration(text))
        return now() - *age;
    const auto time = try_parse_iso8601(text);
    if (!time)
        refuse(origin, "a time such as 2026-01-31T12:00:00Z or an age such as 7d", text);
    return *time;
}

}  // namespace txm::cli
