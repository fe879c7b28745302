#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

/// What the backends on Amazon Web Services share: where they connect, and as whom.
namespace txm::aws {

/// Keys to sign requests with. Never printed.
class Credentials {
public:
    Credentials() = default;
    Credentials(std::string key_id, std::string secret, std::string session_token = {})
        : access_key_id(std::move(key_id)), secret_access_key(std::move(secret)), token(std::move(session_token)) {}

    std::string access_key_id;
    std::string secret_access_key;
    std::string token;  ///< of temporary credentials; empty for permanent ones
};

/// How to reach a service. Everything has a default, which is what Amazon's own tools do with the same environment; but a
/// profile that takes on a role from another one, or signs in through a browser, is refused with the way out.
class ClientOptions {
public:
    /// @param region_name empty: AWS_REGION, AWS_DEFAULT_REGION, or the profile's
    explicit ClientOptions(std::string region_name = {}) : region(std::move(region_name)) {}

    std::string region;
    /// Such as `http://127.0.0.1:8000`. Empty: AWS_ENDPOINT_URL_DYNAMODB (_DYNAMODB_STREAMS, _SNS, _SQS), AWS_ENDPOINT_URL, else the
    /// service's own in that region.
    std::string endpoint;
    std::string profile;  ///< of the shared files; empty: AWS_PROFILE, else `default`
    /// None: from the environment, web identity, the shared files, the container, the instance; refreshed before they expire.
    std::optional<Credentials> credentials{};
    std::size_t max_connections = 32;  ///< kept alive; more requests than that wait
    std::chrono::milliseconds connect_timeout{3'000};
    std::chrono::milliseconds request_timeout{10'000};  ///< of one attempt
    int max_attempts = 8;  ///< of a request that may be repeated: with growing pauses, some 10 s in all
};

}  // namespace txm::aws
