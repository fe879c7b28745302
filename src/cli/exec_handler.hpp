#pragma once

#include "txm/consumer.hpp"

#include <string>

namespace txm::cli {

/// `txm consume --exec`: runs a command for a message. Exit code 0 is done, 65 makes a dead letter, anything else is tried
/// again.
class ExecHandler {
public:
    ExecHandler(std::string command, std::string consumer)
        : command_(std::move(command)), consumer_(std::move(consumer)) {}

    /// @throws Rejected, std::runtime_error
    awaitable<void> handle(const Delivery& delivery) const;

private:
    std::string command_, consumer_;
};

}  // namespace txm::cli
