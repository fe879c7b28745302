#pragma once

#include <string>
#include <string_view>

namespace txm::aws::detail {

/// Whether SNS and SQS carry every character of this UTF-8: tab, line ends, and what is not a control character, U+FFFE or
/// U+FFFF. SQS would put U+FFFD in the place of others, and say nothing.
/// (SendMessage in the Amazon SQS API Reference; Char in XML 1.0)
bool is_allowed(std::string_view utf8) noexcept;

/// Appends it as a JSON string of allowed characters alone.
void append_quoted(std::string& out, std::string_view utf8);

}  // namespace txm::aws::detail
