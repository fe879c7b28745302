#pragma once

#include "aws/client.hpp"

#include <string>

namespace txm::aws::detail {

/// Where a service is reached.
struct Endpoint {
    std::string url;   ///< scheme, host and port, without a slash at the end
    std::string host;  ///< as in the header Host: without the scheme's own port
    std::string path;  ///< begins with a slash
};

/// @throws Error(invalid_configuration) when it is not `http://HOST[:PORT][/PATH]` or the same with https
Endpoint parse_endpoint(const std::string& url);

/// From the options, AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, or the service's own in that region
/// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).
Endpoint endpoint_of(const ClientOptions& options, const Service& service, const std::string& region);

/// From the options, AWS_REGION, AWS_DEFAULT_REGION, or the profile. @throws Error(invalid_configuration) when none tells
std::string region_of(const ClientOptions& options);

}  // namespace txm::aws::detail
