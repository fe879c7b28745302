#include "aws/ca_file.hpp"

#include "aws/environment.hpp"

#include <curl/curl.h>

#include <string>

#include <unistd.h>

namespace txm::aws::detail {
namespace {

bool can_be_read(const char* file) {
    return file && ::access(file, R_OK) == 0;
}

std::string find_ca_file() {
    if (std::string bundle = environment("AWS_CA_BUNDLE"); !bundle.empty())
        return bundle;
    if (can_be_read(curl_version_info(CURLVERSION_NOW)->cainfo))
        return {};
    for (const char* file : {"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"})
        if (can_be_read(file))
            return file;
    return {};
}

}  // namespace

const char* ca_file() {
    static const std::string file = find_ca_file();
    return file.empty() ? nullptr : file.c_str();
}

}  // namespace txm::aws::detail
