#pragma once

#include "txm/message.hpp"

#include <string>
#include <string_view>

namespace txm::detail {

/// Headers as a compact JSON object of strings, in the order of their names; `{}` when there are none.
std::string headers_to_json(const Headers& headers);

/// Appends the same to `out`.
void append_headers_json(std::string& out, const Headers& headers);

/// Reads an object of strings. @throws Error(invalid_message) for anything else, and for a name that stands there twice
Headers headers_from_json(std::string_view text);

}  // namespace txm::detail
