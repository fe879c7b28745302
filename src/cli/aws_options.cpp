#include "cli/aws_options.hpp"

#include "cli/settings.hpp"

#include <algorithm>
#include <string_view>

namespace txm::cli {

namespace {

constexpr auto no_keys_here =
    ": no keys in a URL, where every list of processes shows them: use a profile (?profile=NAME, AWS_PROFILE), "
    "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or the role of the machine";

bool consists_of(std::string_view text, std::string_view more) {
    return std::all_of(text.begin(), text.end(), [&](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               more.find(c) != std::string_view::npos;
    });
}

// As in eu-west-1 and us-gov-east-1: a table's name, where a region was forgotten, is not.
bool looks_like_a_region(const std::string& name) {
    return consists_of(name, "-") && std::count(name.begin(), name.end(), '-') >= 2 && name.back() >= '0' &&
           name.back() <= '9';
}

}  // namespace

AwsPlace aws_place(const Url& url, Options& options, const std::string& origin, const std::string& example) {
    // Anywhere: a secret key may hold slashes.
    if (url.rest.find('@') != std::string::npos)
        throw UsageError(origin + no_keys_here);
    if (const Option* secret = options.find_secret())
        throw UsageError(secret->origin + no_keys_here);
    if (!url.rest.starts_with("//"))
        throw UsageError(origin + ": " + url.scheme + ": needs a region, as in " + example);
    const std::size_t slash = std::min(url.rest.find('/', 2), url.rest.size());
    AwsPlace place{url.rest.substr(2, slash - 2), url.rest.substr(std::min(slash + 1, url.rest.size()))};
    // An emulator's region may have any name.
    const bool is_region = options.has("endpoint") ? consists_of(place.region, "-") : looks_like_a_region(place.region);
    if (!place.region.empty() && !is_region)
        throw UsageError(origin + ": '" + place.region + "' is not the name of a region such as eu-west-1: write " +
                         example + " (endpoints are the parameter ?endpoint=)");
    return place;
}

std::string aws_endpoint(std::string_view name, Options& options, const std::string& origin) {
    std::string endpoint = options.text(name, "");
    if (endpoint.find('@') != std::string::npos)
        throw UsageError(origin + ": " + std::string(name) + no_keys_here);
    if (!endpoint.empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://"))
        throw UsageError(origin + ": " + std::string(name) + " must be a URL such as http://127.0.0.1:8000, not '" +
                         endpoint + "'");
    return endpoint;
}

aws::ClientOptions aws_client_options(const AwsPlace& place, Options& options, const std::string& origin) {
    aws::ClientOptions client{place.region};
    client.endpoint = aws_endpoint("endpoint", options, origin);
    client.profile = options.text("profile", "");
    return client;
}

void check_table_name(const std::string& name, const std::string& origin) {
    check_aws_name(name, true, origin);
    if (name.size() < 3 || name.size() > 255)
        throw UsageError(origin + ": '" + name + "' is not a name that DynamoDB takes: 3 to 255 characters");
}

void check_aws_name(const std::string& name, bool dots, const std::string& origin) {
    if (!consists_of(name, dots ? "_-." : "_-"))
        throw UsageError(origin + ": '" + name + "' is not a name that Amazon takes: letters, digits, - and _" +
                         (dots ? " and ." : ""));
}

}  // namespace txm::cli
