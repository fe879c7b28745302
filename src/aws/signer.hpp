#pragma once

#include "aws/sha256.hpp"
#include "txm/aws_client.hpp"

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace txm::aws::detail {

/// A header to sign: its name in lower case, its value without spaces around it.
struct SignedHeader {
    std::string_view name;
    std::string_view value;
};

/// What is signed of a request. The query is in canonical form: sorted, percent-encoded.
struct Signable {
    std::string_view method = "POST";
    std::string_view path = "/";
    std::string_view query;
    std::span<const SignedHeader> headers;  ///< sorted by name
    std::string_view body;
};

/// Signature Version 4, as in
/// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
/// Keeps the signing key, which changes only with the day and the credentials. *Thread safety*: none.
class Signer {
public:
    Signer(std::string region, std::string service);

    /// Appends the value of the header Authorization to `out`.
    /// @param timestamp as in the header x-amz-date: `20150830T123600Z`
    /// @param credentials kept until others come: the key derived from them is found again by their address
    void sign(std::string& out, const Signable& request, const std::shared_ptr<const Credentials>& credentials,
              std::string_view timestamp);

    const std::string& region() const noexcept { return region_; }

private:
    void derive_key(std::string_view day);

    std::string region_, service_;
    Sha256 sha256_;
    std::shared_ptr<const Credentials> credentials_;  // of key_
    std::string day_;
    std::string scope_;
    Digest key_{};
    std::string text_;  // scratch
};

/// `20150830T123600Z`
std::string to_timestamp(std::chrono::system_clock::time_point time);

}  // namespace txm::aws::detail
