#pragma once

#include <cstdint>
#include <string_view>

namespace txm::aws::detail {

/// What a service's word for an error means to the client.
enum class ErrorKind : std::uint8_t {
    other,
    throttled,      ///< not carried out: later
    outage,         ///< the service's own trouble: it may have been carried out
    clock,          ///< this machine's clock differs too much
    expired,        ///< temporary credentials that are over
    unknown_key,    ///< no such access key there
    bad_signature,  ///< the secret or the region does not fit
    denied,         ///< the credentials may not do this, or the key that it is encrypted with cannot be used
    missing,        ///< the table, the queue or the topic does not exist
};

ErrorKind kind_of(std::string_view type) noexcept;

}  // namespace txm::aws::detail
