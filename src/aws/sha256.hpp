#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace txm::aws::detail {

using Digest = std::array<unsigned char, 32>;

/// SHA-256 and HMAC-SHA-256 with OpenSSL. *Thread safety*: none.
class Sha256 {
public:
    Sha256();

    Digest hash(std::string_view data);
    Digest hmac(std::string_view key, std::string_view data);

private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const noexcept;
    };
    std::unique_ptr<evp_md_ctx_st, Free> context_;
};

inline std::string_view bytes_of(const Digest& digest) noexcept {
    return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// Lower-case.
void append_hex(std::string& out, const Digest& digest);

}  // namespace txm::aws::detail
