#include "aws/credentials.hpp"
#include "aws/endpoint.hpp"
#include "aws/environment.hpp"
#include "aws/fetch.hpp"

#include <array>
#include <string_view>

namespace txm::aws::detail {
namespace {

// Over plain http the token goes only to the agents of ECS and EKS and to this machine.
bool may_have_token(const std::string& url) {
    if (url.rfind("https://", 0) == 0)
        return true;
    const std::string host = parse_endpoint(url.substr(0, url.find('?'))).host;
    const std::string_view name =
        std::string_view(host).substr(0, host.front() == '[' ? host.find(']') + 1 : host.find(':'));
    constexpr std::array<std::string_view, 5> known{"localhost", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]",
                                                    "[::1]"};
    for (const std::string_view one : known)
        if (name == one)
            return true;
    return name.substr(0, 4) == "127." && name.find_first_not_of("0123456789.") == std::string_view::npos;
}

std::string authorization() {
    if (const std::string file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty())
        return read_token(file);
    std::string token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (token.find_first_of("\r\n") != std::string::npos)
        throw Error(Errc::invalid_configuration, "AWS_CONTAINER_AUTHORIZATION_TOKEN has more than one line");
    return token;
}

}  // namespace

// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
std::optional<Keys> credentials_from_container() {
    const std::string relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const std::string url =
        relative.empty() ? environment("AWS_CONTAINER_CREDENTIALS_FULL_URI") : "http://169.254.170.2" + relative;
    if (url.empty())
        return std::nullopt;
    if (!may_have_token(url))
        throw Error(Errc::invalid_configuration, "AWS_CONTAINER_CREDENTIALS_FULL_URI names \"" + url +
                                                     "\", to which no token is sent over plain http: use https");
    FetchRequest request(url);
    request.uses_proxy = false;
    if (const std::string token = authorization(); !token.empty())
        request.headers.push_back("Authorization: " + token);
    const Fetched fetched = fetch(request);
    if (fetched.status != 200)
        throw Error(Errc::store_unavailable,
                    "no credentials from the container's agent at " + url + ": " +
                        (fetched.status == 0 ? fetched.trouble : "it answered " + std::to_string(fetched.status)) +
                        "; check the task's role");
    return read_keys(fetched.body, "the container's agent at " + url);
}

}  // namespace txm::aws::detail
