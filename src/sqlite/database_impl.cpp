#include "sqlite/database_impl.hpp"

#include <algorithm>
#include <utility>

namespace txm::sqlite::detail {

DatabaseImpl::DatabaseImpl(const std::string& file, DatabaseOptions how)
    : path(file),
      options(how),
      wake_file_(file),
      writer_(std::make_unique<Writer>(file, how, [this] { committed(); })) {
    readers_ = std::make_unique<Readers>(file, how);
}

DatabaseImpl::~DatabaseImpl() = default;

std::shared_ptr<WakeListener> DatabaseImpl::listen() {
    auto listener = std::make_shared<WakeListener>(path);
    const std::scoped_lock lock(mutex_);
    std::erase_if(listeners_, [](const auto& known) { return known.expired(); });
    listeners_.push_back(listener);
    return listener;
}

void DatabaseImpl::committed() noexcept {
    wake_file_.touch();
    const std::scoped_lock lock(mutex_);
    for (const auto& known : listeners_)
        if (const auto listener = known.lock())
            listener->notify();
}

}  // namespace txm::sqlite::detail
