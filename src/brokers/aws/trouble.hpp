#pragma once

#include <exception>
#include <string_view>

namespace txm::aws::detail {

/// What went wrong, as the relay and the consumer know it: Error(broker_unavailable) for all that waiting can mend, and for
/// a missing permission, which may be that of one topic among many. Anything else as it is.
/// @param creates what is missing is made at the next try
std::exception_ptr as_unavailable(const std::exception_ptr& error, bool creates);

/// The topic or queue does not exist.
bool is_missing(const std::exception_ptr& error);

/// The service refused the request for what is in it, not for who sent it or when.
bool is_refusal(const std::exception_ptr& error);

/// The same of one entry of a batch, which the service blames on the sender: also when a permission is missing.
bool is_senders_fault(bool service_says_so, std::string_view code) noexcept;

/// Of one entry of a batch: it was not carried out, and nothing is wrong with it: too many requests, a missing permission.
bool is_others_fault(std::string_view code) noexcept;

/// The service did not carry the request out, for what is not in it.
bool was_not_carried_out(const std::exception_ptr& error);

}  // namespace txm::aws::detail
