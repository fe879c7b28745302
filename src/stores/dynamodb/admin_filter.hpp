#pragma once

#include "txm/admin.hpp"

#include <algorithm>

namespace txm::dynamodb::detail {

/// Whether a message is one of those that are meant, but for its state.
bool selects(const MessageFilter& filter, const StoredMessage& message);

/// How many are meant at most.
inline std::size_t limit_of(const MessageFilter& filter) {
    return filter.limit > 0 ? filter.limit : static_cast<std::size_t>(-1);
}

/// @throws Error(invalid_configuration) when a purge is not told what is old enough
void require_before(const MessageFilter& filter);

}  // namespace txm::dynamodb::detail
