#pragma once

#include "contract/store_contract.hpp"

#include <vector>

namespace txm::test {

/// DynamoDB, read through its stream and through its index.
std::vector<StoreKind> dynamodb_stores();

}  // namespace txm::test
