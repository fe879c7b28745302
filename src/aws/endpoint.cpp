#include "aws/endpoint.hpp"

#include "aws/environment.hpp"
#include "aws/profile.hpp"

#include <cctype>
#include <string_view>

namespace txm::aws::detail {
namespace {

bool has_scheme(std::string_view url, std::string_view scheme) {
    return url.substr(0, scheme.size()) == scheme;
}

// AWS_ENDPOINT_URL_DYNAMODB: the name in capitals, with underscores.
std::string variable_of(const Service& service) {
    std::string name = "AWS_ENDPOINT_URL_";
    for (const char c : service.host_prefix == "streams.dynamodb" ? std::string("dynamodb_streams") : service.name)
        name += c == ' ' || c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return name;
}

std::string domain_of(const std::string& region) {
    return region.rfind("cn-", 0) == 0 ? "amazonaws.com.cn" : "amazonaws.com";
}

}  // namespace

// https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html
std::string region_of(const ClientOptions& options) {
    if (!options.region.empty())
        return options.region;
    for (const char* const name : {"AWS_REGION", "AWS_DEFAULT_REGION"})
        if (std::string region = environment(name); !region.empty())
            return region;
    const std::optional<Profile> profile = find_profile(options.profile);
    if (std::string region = profile ? profile->get("region") : ""; !region.empty())
        return region;
    throw Error(Errc::invalid_configuration,
                "no AWS region is given: name one in the URL or the options, in AWS_REGION, or in the profile");
}

Endpoint parse_endpoint(const std::string& url) {
    const bool is_secure = has_scheme(url, "https://");
    const std::size_t begin = is_secure ? 8 : 7;
    const std::size_t slash = url.find('/', begin);
    Endpoint endpoint;
    if (is_secure || has_scheme(url, "http://"))
        endpoint.host = url.substr(begin, slash == std::string::npos ? slash : slash - begin);
    if (endpoint.host.empty() || url.find_first_of(" \t\r\n?#@") != std::string::npos)
        throw Error(Errc::invalid_configuration,
                    "the endpoint " + (url.find('@') == std::string::npos ? "\"" + url + "\"" : "with a password") +
                        " is not valid: it looks like http://127.0.0.1:8000");
    endpoint.url = url.substr(0, begin) + endpoint.host;
    endpoint.path = slash == std::string::npos ? "/" : url.substr(slash);
    const std::string_view own_port = is_secure ? ":443" : ":80";
    if (endpoint.host.ends_with(own_port))
        endpoint.host.erase(endpoint.host.size() - own_port.size());
    return endpoint;
}

Endpoint endpoint_of(const ClientOptions& options, const Service& service, const std::string& region) {
    std::string url = options.endpoint;
    if (url.empty())
        url = environment(variable_of(service).c_str());
    if (url.empty())
        url = environment("AWS_ENDPOINT_URL");
    if (url.empty())
        url = "https://" + service.host_prefix + "." + region + "." + domain_of(region);
    return parse_endpoint(url);
}

}  // namespace txm::aws::detail
