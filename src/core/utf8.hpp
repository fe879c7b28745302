#pragma once

#include <cstddef>
#include <string_view>

namespace txm::detail {

/// Whether `text` is well-formed UTF-8 (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF).
bool is_utf8(std::string_view text) noexcept;

/// At most `most` bytes of well-formed UTF-8, whole characters.
std::string_view utf8_prefix(std::string_view text, std::size_t most) noexcept;

}  // namespace txm::detail
