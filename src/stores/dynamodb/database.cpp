#include "stores/dynamodb/database_impl.hpp"
#include "txm/dynamodb.hpp"

#include <utility>

namespace txm::dynamodb {

Database::Database(DatabaseOptions options) : impl_(std::make_unique<detail::DatabaseImpl>(std::move(options))) {}

Database::~Database() = default;

}  // namespace txm::dynamodb
