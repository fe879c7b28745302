#pragma once

#include "txm/timestamp.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace txm::cli {

// The texts of flags, variables, keys and URL parameters, read. Each throws UsageError beginning with `origin`, which names
// where the text stands.

std::int64_t parse_number(std::string_view text, const std::string& origin);

/// `250ms`, `10s`, `5m`, `12h`, `7d`, `2w` or `0`.
std::chrono::milliseconds parse_duration(std::string_view text, const std::string& origin);

/// The same, or nothing for `forever`.
std::optional<std::chrono::seconds> parse_retention(std::string_view text, const std::string& origin);

bool parse_flag(std::string_view text, const std::string& origin);

/// One of `choices`, which are separated by `|`.
void check_choice(std::string_view text, std::string_view choices, const std::string& origin);

/// An ISO 8601 time, or an age: a duration before now.
Timestamp parse_time(std::string_view text, const std::string& origin);

}  // namespace txm::cli
