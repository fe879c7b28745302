#pragma once

#include "txm/dynamodb.hpp"

#include <exception>

namespace txm::dynamodb::detail {

/// The error of conditions that what was read is still so. Somebody else changed it: read again, plan again.
class Moved : public std::exception {
public:
    const char* what() const noexcept override { return "somebody else changed the same item at the same moment"; }
};

/// Commits; false when a condition threw Moved, after a pause that grows with the failures.
/// @throws Error(store_unavailable) when that happens again and again
awaitable<bool> commit_unless_moved(Session& session, int& failures);

}  // namespace txm::dynamodb::detail
