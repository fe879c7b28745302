#include "sqlite/database_impl.hpp"
#include "txm/sqlite.hpp"

namespace txm::sqlite {

Database::Database(const std::string& path, DatabaseOptions options)
    : impl_(std::make_unique<detail::DatabaseImpl>(path, options)) {}

Database::~Database() = default;

const std::string& Database::path() const noexcept {
    return impl_->path;
}

}  // namespace txm::sqlite
