#include "aws/credentials.hpp"

#include "aws/environment.hpp"
#include "txm/error.hpp"
#include "txm/timestamp.hpp"

#include <boost/json.hpp>

#include <utility>

namespace txm::aws::detail {
namespace {

std::string text_at(const boost::json::object& object, std::string_view key) {
    const boost::json::value* const value = object.if_contains(key);
    const boost::json::string* const text = value ? value->if_string() : nullptr;
    return text ? std::string(*text) : std::string();
}

}  // namespace

Keys read_keys(std::string_view json, const std::string& from) {
    boost::json::error_code bad;
    const boost::json::value value = boost::json::parse(json, bad);
    const boost::json::object* const object = bad ? nullptr : value.if_object();
    std::string id = object ? text_at(*object, "AccessKeyId") : "";
    std::string secret = object ? text_at(*object, "SecretAccessKey") : "";
    if (id.empty() || secret.empty())
        throw Error(Errc::store_unavailable, from + " gave no AccessKeyId and SecretAccessKey");
    std::string token = text_at(*object, "Token");
    if (token.empty())
        token = text_at(*object, "SessionToken");
    const std::string expiration = text_at(*object, "Expiration");
    const std::optional<Timestamp> expiry = try_parse_iso8601(expiration);
    if (!expiration.empty() && !expiry)
        throw Error(Errc::store_unavailable, from + " gave credentials with an Expiration that is no time");
    return Keys(Credentials(std::move(id), std::move(secret), std::move(token)), expiry);
}

Keys find_credentials(const ClientOptions& options, const std::string& region) {
    // A profile named in the options is meant, whatever the environment says.
    std::optional<Keys> keys;
    if (options.profile.empty()) {
        keys = credentials_from_environment();
        if (!keys)
            keys = credentials_from_web_identity(region);
    }
    if (!keys)
        keys = credentials_from_profile(options.profile, region);
    if (!keys && options.profile.empty())
        keys = credentials_from_container();
    if (!keys && options.profile.empty())
        keys = credentials_from_instance();
    if (keys)
        return *keys;
    if (!options.profile.empty())
        throw Error(Errc::invalid_configuration, "the AWS profile \"" + options.profile +
                                                     "\" has no credentials: set aws_access_key_id and "
                                                     "aws_secret_access_key, or credential_process, in it");
    throw Error(Errc::invalid_configuration,
                "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE and "
                "~/.aws/credentials, or give the container or the instance a role");
}

}  // namespace txm::aws::detail
