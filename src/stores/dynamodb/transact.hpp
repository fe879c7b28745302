#pragma once

#include "stores/dynamodb/database_impl.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace txm::dynamodb::detail {

/// Writes all elements or none, and tries again what met other transactions on its way. Gives the numbers of the elements
/// whose condition did not hold; then nothing was written.
/// @param elements JSON text, with commas between them: at most 100
/// @param outbox for errors
/// @throws Error(store_unavailable): perhaps it was written
boost::asio::awaitable<std::vector<std::size_t>> transact(DatabaseImpl& db, std::string elements, std::string outbox);

}  // namespace txm::dynamodb::detail
