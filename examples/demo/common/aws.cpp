#include "common/aws.hpp"

#include "common/service.hpp"

#include <txm/aws.hpp>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

namespace demo {

std::string AwsUrl::option(std::string_view key, std::string_view fallback) const {
    const auto found = options.find(key);
    return found == options.end() ? std::string(fallback) : found->second;
}

txm::aws::ClientOptions AwsUrl::client() const {
    txm::aws::ClientOptions client{region};
    client.endpoint = option("endpoint", "");
    return client;
}

AwsUrl aws_url_from_environment(const char* variable, std::string_view scheme) {
    const std::string rest = path_from_environment(variable, scheme);
    const auto query = std::min(rest.find('?'), rest.size());
    const auto slash = rest.find('/', 2);
    if (!rest.starts_with("//") || slash >= query)
        throw std::runtime_error(std::string("set ") + variable + " to " + std::string(scheme) +
                                 "://REGION/NAME; it is '" + std::string(scheme) + ':' + rest + "'");
    AwsUrl url{rest.substr(2, slash - 2), rest.substr(slash + 1, query - slash - 1), {}};
    for (auto start = query; start < rest.size();) {
        const auto end = std::min(rest.find('&', start + 1), rest.size());
        const auto pair = rest.substr(start + 1, end - start - 1);
        const auto equals = std::min(pair.find('='), pair.size());
        url.options[pair.substr(0, equals)] = equals < pair.size() ? pair.substr(equals + 1) : "";
        start = end;
    }
    return url;
}

std::unique_ptr<txm::Subscription> subscribe_behind_sns(const std::string& topic, const std::string& consumer) {
    const AwsUrl url = aws_url_from_environment("TXM_BROKER", "sns");
    txm::aws::BrokerOptions broker{url.client()};
    broker.prefix = url.name;
    broker.fifo = url.option("fifo", "false") == "true";
    txm::aws::SubscriptionOptions options{std::move(broker), consumer};
    // What a process had in hand when it was killed comes again after this long. The demo kills many.
    options.visibility = std::chrono::seconds{10};
    return std::make_unique<LoggedSubscription>(
        std::make_unique<txm::aws::Subscription>(std::vector<std::string>{topic}, std::move(options)));
}

}  // namespace demo
