#include "txm/incoming.hpp"

namespace txm {

std::uint64_t payload_hash(std::string_view payload) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char c : payload) {
        hash ^= static_cast<unsigned char>(c);
        hash *= 0x100000001b3U;
    }
    return hash;
}

}  // namespace txm
