#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/transaction.hpp"

namespace txm::dynamodb::detail {

/// Records that a broker has the message. What was a dead letter is none any more, and its lane goes on.
/// @throws MessageNotFoundError
awaitable<void> mark_as_dispatched(DatabaseImpl& db, std::shared_ptr<const OutboxTable> table, Uuid message_id);

}  // namespace txm::dynamodb::detail
