#include "core/utf8.hpp"

#include <cstdint>
#include <cstring>

namespace txm::detail {

bool is_utf8(std::string_view text) noexcept {
    const auto* in = reinterpret_cast<const unsigned char*>(text.data());
    const auto* const end = in + text.size();
    const auto continues = [](unsigned char c) { return (c & 0xc0) == 0x80; };
    while (in != end) {
        // Nearly all text is ASCII: eight bytes at a time.
        while (end - in >= 8) {
            std::uint64_t block;
            std::memcpy(&block, in, sizeof block);
            if (block & 0x8080808080808080U)
                break;
            in += 8;
        }
        if (in == end)
            return true;
        const unsigned char first = *in;
        if (first < 0x80) {
            ++in;
        } else if (first >= 0xc2 && first <= 0xdf) {
            if (end - in < 2 || !continues(in[1]))
                return false;
            in += 2;
        } else if (first >= 0xe0 && first <= 0xef) {
            if (end - in < 3 || !continues(in[1]) || !continues(in[2]))
                return false;
            if ((first == 0xe0 && in[1] < 0xa0) || (first == 0xed && in[1] > 0x9f))
                return false;
            in += 3;
        } else if (first >= 0xf0 && first <= 0xf4) {
            if (end - in < 4 || !continues(in[1]) || !continues(in[2]) || !continues(in[3]))
                return false;
            if ((first == 0xf0 && in[1] < 0x90) || (first == 0xf4 && in[1] > 0x8f))
                return false;
            in += 4;
        } else {
            return false;
        }
    }
    return true;
}

std::string_view utf8_prefix(std::string_view text, std::size_t most) noexcept {
    if (most >= text.size())
        return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80)
        --most;
    return text.substr(0, most);
}

}  // namespace txm::detail
