#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/transaction.hpp"

namespace txm::dynamodb::detail {

/// What DynamoDB takes in one transaction and in one item.
/// (Amazon DynamoDB Developer Guide, "Quotas in Amazon DynamoDB")
inline constexpr std::size_t most_elements = 100;
inline constexpr std::size_t most_item_bytes = std::size_t{400} * 1024;
inline constexpr std::size_t most_transaction_bytes = std::size_t{4} * 1024 * 1024;
inline constexpr std::size_t most_lane_bytes = 900;  // a topic and an aggregate id together

/// @throws Error(invalid_message) for a message whose row DynamoDB would not take, Error naming the aggregate_id that
///         programs sharing the table could not read
void check_row(const StoredMessage& message, const OutboxTable& table);

/// @throws Error(statement_failed) for what DynamoDB would refuse: too many elements, too large ones
void check_sizes(const Transaction& transaction);

/// Two writes to one item. What the key of a put is may have to be asked: once for a table.
/// @throws Error(statement_failed) naming the item
awaitable<void> check_targets(const Transaction& transaction, DatabaseImpl& db);
/// Whether check_targets() can find anything: most transactions write to a table once.
bool may_write_twice(const Transaction& transaction);

}  // namespace txm::dynamodb::detail
