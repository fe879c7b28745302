#pragma once

#include "stores/dynamodb/transaction.hpp"

#include <string_view>
#include <vector>

namespace txm::dynamodb::detail {

/// A reason's code that stands for what may go well a moment later.
bool is_passing(std::string_view code) noexcept;

/// The reasons in the body of a TransactionCanceledException, one for each element of the request.
std::vector<Reason> read_reasons(std::string_view body);

}  // namespace txm::dynamodb::detail
