#include "aws/sha256.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <new>
#include <span>

namespace txm::aws::detail {
namespace {

constexpr std::size_t block_size = 64;

// Fetched once: to look an algorithm up by name costs more than a short hash.
const EVP_MD* algorithm() {
    static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (!fetched)
        throw std::bad_alloc();
    return fetched;
}

void begin(EVP_MD_CTX* context) {
    if (EVP_DigestInit_ex2(context, algorithm(), nullptr) != 1)
        throw std::bad_alloc();
}

Digest finish(EVP_MD_CTX* context) {
    Digest digest{};
    EVP_DigestFinal_ex(context, digest.data(), nullptr);
    return digest;
}

void begin_with(EVP_MD_CTX* context, std::array<unsigned char, block_size> key, unsigned char pad) {
    for (unsigned char& byte : key)
        byte = static_cast<unsigned char>(byte ^ pad);
    begin(context);
    EVP_DigestUpdate(context, key.data(), key.size());
}

}  // namespace

void Sha256::Free::operator()(evp_md_ctx_st* context) const noexcept {
    EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    if (!context_)
        throw std::bad_alloc();
}

Digest Sha256::hash(std::string_view data) {
    begin(context_.get());
    EVP_DigestUpdate(context_.get(), data.data(), data.size());
    return finish(context_.get());
}

// RFC 2104.
Digest Sha256::hmac(std::string_view key, std::string_view data) {
    std::array<unsigned char, block_size> padded{};
    if (key.size() > block_size) {
        const Digest shorter = hash(key);
        std::copy(shorter.begin(), shorter.end(), padded.begin());
    } else {
        std::copy(key.begin(), key.end(), padded.begin());
    }
    begin_with(context_.get(), padded, 0x36);
    EVP_DigestUpdate(context_.get(), data.data(), data.size());
    const Digest inner = finish(context_.get());
    begin_with(context_.get(), padded, 0x5c);
    EVP_DigestUpdate(context_.get(), inner.data(), inner.size());
    return finish(context_.get());
}

void append_hex(std::string& out, const Digest& digest) {
    constexpr char digits[] = "0123456789abcdef";
    for (const unsigned char byte : digest) {
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
}

}  // namespace txm::aws::detail
