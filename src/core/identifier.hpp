#pragma once

#include <string>
#include <string_view>

namespace txm::detail {

/// `name`, when it is made of ASCII letters, digits and `_` and has 1 to 48 characters: what is put into SQL as a table's
/// name. @throws std::invalid_argument for another
std::string checked_identifier(std::string_view name);

/// The same between double quotes, so that a word of SQL is a name too.
std::string quoted_identifier(std::string_view name);

}  // namespace txm::detail
