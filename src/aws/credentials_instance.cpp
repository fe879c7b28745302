#include "aws/credentials.hpp"
#include "aws/environment.hpp"
#include "aws/fetch.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <cctype>

namespace txm::aws::detail {
namespace {

constexpr const char* path = "/latest/meta-data/iam/security-credentials/";

std::string base() {
    std::string url = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    if (url.empty())
        url = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE") == "IPv6" ? "http://[fd00:ec2::254]"
                                                                              : "http://169.254.169.254";
    while (url.ends_with('/'))
        url.pop_back();
    return url;
}

bool is_disabled() {
    std::string value = environment("AWS_EC2_METADATA_DISABLED");
    std::transform(value.begin(), value.end(), value.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return value == "true";
}

// Far from an instance nobody is there to answer: that is found out soon.
Fetched ask(const std::string& url, const std::string& method, const std::string& header) {
    FetchRequest request(url);
    request.method = method;
    request.headers = {header};
    request.uses_proxy = false;
    request.timeout = std::chrono::milliseconds(2'000);
    return fetch(request);
}

[[noreturn]] void refuse(const std::string& url, const Fetched& fetched) {
    throw Error(Errc::store_unavailable,
                "no credentials from the instance's metadata at " + url + ": " +
                    (fetched.status == 0 ? fetched.trouble : "it answered " + std::to_string(fetched.status)) +
                    "; check the instance's role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE");
}

}  // namespace

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html, version 2 alone: with a
// token, which a request that was forged from outside does not get.
std::optional<Keys> credentials_from_instance() {
    if (is_disabled())
        return std::nullopt;
    const std::string url = base();
    const Fetched token = ask(url + "/latest/api/token", "PUT", "X-aws-ec2-metadata-token-ttl-seconds: 21600");
    if (token.status == 0)
        return std::nullopt;
    if (token.status != 200)
        refuse(url, token);
    const std::string header = "X-aws-ec2-metadata-token: " + token.body;
    const Fetched roles = ask(url + path, "GET", header);
    if (roles.status == 404)
        return std::nullopt;
    if (roles.status != 200)
        refuse(url, roles);
    const Fetched keys = ask(url + path + roles.body.substr(0, roles.body.find_first_of("\r\n")), "GET", header);
    if (keys.status != 200)
        refuse(url, keys);
    return read_keys(keys.body, "the instance's metadata at " + url);
}

}  // namespace txm::aws::detail
