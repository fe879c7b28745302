#pragma once

#include "cli/stdout_file.hpp"
#include "txm/publisher.hpp"

#include <functional>
#include <string>

namespace txm::cli {

/// Writes messages as JSON lines to standard output. A batch is acknowledged as a whole, once the kernel has all its lines
/// and, when stdout is a regular file, the disk has them.
class StdoutPublisher final : public Publisher {
public:
    /// @param give_up called, with why, when nobody reads any more
    explicit StdoutPublisher(std::function<void(const std::string&)> give_up) : give_up_(std::move(give_up)) {}

    awaitable<void> publish(PublishBatch& batch) override;

    bool gapless() const noexcept override { return true; }

private:
    StdoutFile file_;
    std::string lines_;
    std::function<void(const std::string&)> give_up_;
};

}  // namespace txm::cli
