#include "aws/credentials.hpp"
#include "aws/environment.hpp"
#include "txm/error.hpp"

#include <utility>

namespace txm::aws::detail {

// https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html
std::optional<Keys> credentials_from_environment() {
    std::string id = environment("AWS_ACCESS_KEY_ID");
    std::string secret = environment("AWS_SECRET_ACCESS_KEY");
    if (id.empty() != secret.empty())
        throw Error(Errc::invalid_configuration,
                    std::string(id.empty() ? "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID"
                                           : "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY")
                        .append(" is not: set both or neither"));
    if (id.empty())
        return std::nullopt;
    return Keys(Credentials(std::move(id), std::move(secret), environment("AWS_SESSION_TOKEN")));
}

}  // namespace txm::aws::detail
