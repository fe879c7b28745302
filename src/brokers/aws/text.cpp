#include "brokers/aws/text.hpp"

#include "core/json_text.hpp"

namespace txm::aws::detail {

namespace {

// U+FFFE and U+FFFF are EF BF BE and EF BF BF.
constexpr std::string_view noncharacter = "\xef\xbf";

std::size_t find_noncharacter(std::string_view text, std::size_t from) noexcept {
    for (std::size_t at = text.find(noncharacter, from); at != std::string_view::npos;
         at = text.find(noncharacter, at + 1))
        if (at + 2 < text.size() && static_cast<unsigned char>(text[at + 2]) >= 0xbe)
            return at;
    return std::string_view::npos;
}

}  // namespace

bool is_allowed(std::string_view utf8) noexcept {
    for (const char character : utf8) {
        const auto c = static_cast<unsigned char>(character);
        if (c < 0x20 && c != '\t' && c != '\n' && c != '\r')
            return false;
    }
    return find_noncharacter(utf8, 0) == std::string_view::npos;
}

void append_quoted(std::string& out, std::string_view utf8) {
    const std::size_t begin = out.size();
    txm::detail::json::append_quoted(out, utf8);
    for (std::size_t at = find_noncharacter(out, begin); at != std::string::npos; at = find_noncharacter(out, at + 1))
        out.replace(at, 3, static_cast<unsigned char>(out[at + 2]) == 0xbe ? "\\ufffe" : "\\uffff");
}

}  // namespace txm::aws::detail
