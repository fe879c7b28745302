#pragma once

#include "txm/aws_client.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace txm::aws::detail {

/// What a source of credentials gave.
class Keys {
public:
    /// @param until when they are over; none: never
    explicit Keys(Credentials given, std::optional<std::chrono::system_clock::time_point> until = {})
        : credentials(std::make_shared<const Credentials>(std::move(given))), expiry(until) {}

    std::shared_ptr<const Credentials> credentials;
    std::optional<std::chrono::system_clock::time_point> expiry;
};

// The sources, in the order in which they are asked
// (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html). Each gives nothing when the environment
// does not speak of it, and throws when it does but no keys can be had. They block.

/// From AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. Does not block.
std::optional<Keys> credentials_from_environment();

/// For a token of AWS_WEB_IDENTITY_TOKEN_FILE, from the Security Token Service.
std::optional<Keys> credentials_from_web_identity(const std::string& region);

/// From the shared files. @param profile empty: AWS_PROFILE, else `default`
std::optional<Keys> credentials_from_profile(const std::string& profile, const std::string& region);

/// From the agent of a container (ECS, EKS Pod Identity).
std::optional<Keys> credentials_from_container();

/// From the metadata service of an instance (EC2).
std::optional<Keys> credentials_from_instance();

/// The first that gives some. @throws Error(invalid_configuration) that names what may be set, when none does
Keys find_credentials(const ClientOptions& options, const std::string& region);

/// A role taken on with a token that an identity provider keeps fresh in a file.
struct WebIdentity {
    std::string token_file;
    std::string role_arn;
    std::string session_name;  ///< empty: one is made up
};
Keys assume_role(const WebIdentity& identity, const std::string& region);

/// Reads `{"AccessKeyId", "SecretAccessKey", "Token" or "SessionToken", "Expiration"}`. @param from names the source in errors
Keys read_keys(std::string_view json, const std::string& from);

}  // namespace txm::aws::detail
