#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace txm::aws::detail {

/// A plain request for credentials, on the thread that waits for them.
class FetchRequest {
public:
    explicit FetchRequest(std::string where) : url(std::move(where)) {}

    std::string url;
    std::string method = "GET";
    std::vector<std::string> headers;  ///< `name: value`
    std::string body;
    std::chrono::milliseconds connect_timeout{1'000};
    std::chrono::milliseconds timeout{5'000};
    bool uses_proxy = true;  ///< what HTTPS_PROXY and its kin name
};

struct Fetched {
    long status = 0;  ///< 0: no answer
    std::string body;
    std::string trouble;  ///< why there was none
};

Fetched fetch(const FetchRequest& request);

/// The text of a file without spaces around it. @throws Error(invalid_configuration) when it cannot be read
std::string read_token(const std::string& path);

}  // namespace txm::aws::detail
