#pragma once

#include "txm/dynamodb.hpp"

#include <string>

namespace txm::dynamodb::detail {

/// The inbox row of a dead letter. It does not expire: what an operator has to decide about is not forgotten.
Item dead_row(Item key, const Incoming& incoming);

bool is_dead(const Item& inbox_row);

/// The condition that the row is still one of a dead letter; its commit throws Moved otherwise.
Write still_dead(const std::string& table, const Item& key);

}  // namespace txm::dynamodb::detail
