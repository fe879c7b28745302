#include "core/identifier.hpp"

#include <algorithm>
#include <stdexcept>

namespace txm::detail {

std::string checked_identifier(std::string_view name) {
    const auto is_allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    };
    // PostgreSQL cuts names at 63 bytes; indexes are named after their table.
    if (name.empty() || name.size() > 48 || !std::all_of(name.begin(), name.end(), is_allowed))
        throw std::invalid_argument("txm: \"" + std::string(name.substr(0, 64)) +
                                    "\" cannot be the name of a table: use 1 to 48 letters, digits and `_`");
    return std::string(name);
}

std::string quoted_identifier(std::string_view name) {
    return '"' + checked_identifier(name) + '"';
}

}  // namespace txm::detail
