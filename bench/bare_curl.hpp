#pragma once

#include <cstdint>
#include <string>

namespace txm::bench {

inline constexpr const char* aws_region = "eu-west-1";
inline constexpr const char* aws_key = "AKIDEXAMPLE";
inline constexpr const char* aws_secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// libcurl used as its manual has it, signing with CURLOPT_AWS_SIGV4. What txm is compared with.
class BareCurl {
public:
    BareCurl(std::string endpoint, std::string action, std::string body);

    /// One request after the other over one connection.
    void one_by_one(int requests) const;

    /// With so many under way at once: curl_multi_socket_action and epoll.
    void at_once(int requests, int concurrency) const;

private:
    void prepare(void* easy) const;

    std::string endpoint_, body_;
    std::string target_;
};

}  // namespace txm::bench
