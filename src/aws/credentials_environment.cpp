#include "aws/credentials.hpp"
#include "aws/endpoint.hpp"

namespace txm::aws::detail {

std::optional<Keys> credentials_from_environment() {
    std::string id = environment("AWS_ACCESS_KEY_ID");
    std::string secret = environment("AWS_SECRET_ACCESS_KEY");
    if (id.empty() || secret.empty())
        return std::nullopt;
    Keys keys;
    keys.credentials =
        std::make_shared<const Credentials>(std::move(id), std::move(secret), environment("AWS_SESSION_TOKEN"));
    return keys;
}

}  // namespace txm::aws::detail
