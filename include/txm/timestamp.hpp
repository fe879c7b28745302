#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace txm {

/// A UTC time in microseconds. Microseconds, so that a time is equal to itself after a round trip through any store.
using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;

/// The wall clock's time. *Thread safety*: any thread.
Timestamp now() noexcept;

/// ISO 8601 with offset `+00:00` and six digits of fraction, which are left out when they are zero:
/// `2023-11-02T10:15:30.123456+00:00`, `2023-11-02T10:15:30+00:00`.
/// @throws std::out_of_range for a year that has not four digits
std::string to_iso8601(Timestamp time);

/// Reads what to_iso8601() writes, and also `Z`, no offset (UTC), any other offset, a blank instead of the `T`, and one
/// to nine digits of fraction (what is finer than a microsecond is cut off).
/// @throws std::invalid_argument naming the text.
Timestamp parse_iso8601(std::string_view text);

/// As parse_iso8601(), but an empty optional instead of an exception.
std::optional<Timestamp> try_parse_iso8601(std::string_view text) noexcept;

}  // namespace txm
