#pragma once

#include "txm/dynamodb.hpp"

#include <string>

namespace txm::dynamodb::detail {

/// Counts an attempt that begins, in the item `key`; gives how many began before and did not end. When there are any,
/// nothing is counted unless `is_alone`. One request.
awaitable<int> count_attempt(DatabaseImpl& db, const std::string& table, Item key, bool is_alone);

awaitable<void> forget_attempts(DatabaseImpl& db, const std::string& table, Item key);

}  // namespace txm::dynamodb::detail
