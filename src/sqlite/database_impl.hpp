#pragma once

#include "sqlite/readers.hpp"
#include "sqlite/wake.hpp"
#include "sqlite/writer.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace txm::sqlite::detail {

/// Behind txm::sqlite::Database, and behind the local broker's file: one writer, some readers, and those who wait for
/// commits.
/// *Thread safety*: any thread.
struct DatabaseImpl {
    explicit DatabaseImpl(const std::string& path, DatabaseOptions options = {});
    ~DatabaseImpl();

    const std::string path;
    const DatabaseOptions options;

    Writer& writer() noexcept { return *writer_; }
    Readers& readers() noexcept { return *readers_; }

    /// A new listener, which commits of this process wake without a detour through the file system. Alive as long as
    /// its owner keeps it.
    std::shared_ptr<WakeListener> listen();

private:
    void committed() noexcept;

    WakeFile wake_file_;
    std::mutex mutex_;
    std::vector<std::weak_ptr<WakeListener>> listeners_;
    std::unique_ptr<Readers> readers_;
    std::unique_ptr<Writer> writer_;
};

}  // namespace txm::sqlite::detail
