#pragma once

#include "txm/aws_client.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace txm::aws::detail {

/// What a source of credentials gave.
struct Keys {
    std::shared_ptr<const Credentials> credentials;
    std::optional<std::chrono::system_clock::time_point> expiry{};
};

/// From AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
std::optional<Keys> credentials_from_environment();

}  // namespace txm::aws::detail
