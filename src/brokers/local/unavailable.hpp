#pragma once

#include <exception>
#include <string>

namespace txm::local::detail {

/// What went wrong with the broker's file, as the relay and the consumer know it: Error(broker_unavailable) for all that
/// waiting or an operator can mend (locked, full, damaged, an unclear commit); anything else as it is.
std::exception_ptr as_unavailable(const std::string& path, const std::exception_ptr& error);

}  // namespace txm::local::detail
