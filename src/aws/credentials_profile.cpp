#include "aws/credentials.hpp"
#include "aws/credentials_process.hpp"
#include "aws/profile.hpp"
#include "txm/error.hpp"

#include <utility>

namespace txm::aws::detail {
namespace {

[[noreturn]] void refuse(const Profile& profile, const std::string& why) {
    throw Error(Errc::invalid_configuration, "the AWS profile \"" + profile.name + "\" " + why);
}

}  // namespace

// https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
std::optional<Keys> credentials_from_profile(const std::string& name, const std::string& region) {
    const std::optional<Profile> profile = find_profile(name);
    if (!profile)
        return std::nullopt;
    if (const std::string role = profile->get("role_arn"); !role.empty()) {
        const std::string token_file = profile->get("web_identity_token_file");
        if (token_file.empty())
            refuse(*profile,
                   "takes on a role from another profile, which txm does not: set credential_process to "
                   "`aws configure export-credentials --profile " +
                       profile->name + "`");
        return assume_role({token_file, role, profile->get("role_session_name")}, region);
    }
    std::string id = profile->get("aws_access_key_id");
    std::string secret = profile->get("aws_secret_access_key");
    if (!id.empty() && !secret.empty())
        return Keys(Credentials(std::move(id), std::move(secret), profile->get("aws_session_token")));
    if (id.empty() != secret.empty())
        refuse(*profile, "has only one of aws_access_key_id and aws_secret_access_key: set both");
    if (const std::string command = profile->get("credential_process"); !command.empty())
        return credentials_from_process(command, profile->name);
    if (!profile->get("sso_session").empty() || !profile->get("sso_start_url").empty())
        refuse(*profile,
               "signs in through a browser, which txm does not: set credential_process to "
               "`aws configure export-credentials --profile " +
                   profile->name + "`");
    return std::nullopt;
}

}  // namespace txm::aws::detail
