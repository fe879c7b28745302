#include "aws/fetch.hpp"

#include "aws/ca_file.hpp"

#include "txm/error.hpp"

#include <curl/curl.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <new>

namespace txm::aws::detail {
namespace {

struct Free {
    void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
    void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};

std::size_t take(char* data, std::size_t size, std::size_t count, void* body) {
    static_cast<std::string*>(body)->append(data, size * count);
    return size * count;
}

}  // namespace

Fetched fetch(const FetchRequest& request) {
    const std::unique_ptr<CURL, Free> handle(curl_easy_init());
    if (!handle)
        throw std::bad_alloc();
    std::unique_ptr<curl_slist, Free> headers;
    for (const std::string& header : request.headers) {
        curl_slist* const longer = curl_slist_append(headers.get(), header.c_str());
        if (!longer)
            throw std::bad_alloc();
        static_cast<void>(headers.release());
        headers.reset(longer);
    }
    Fetched fetched;
    curl_easy_setopt(handle.get(), CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(handle.get(), CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
    if (!request.body.empty()) {
        curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(request.body.size()));
        curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDS, request.body.c_str());
    }
    curl_easy_setopt(handle.get(), CURLOPT_NOSIGNAL, 1L);
    if (const char* file = ca_file())
        curl_easy_setopt(handle.get(), CURLOPT_CAINFO, file);
    curl_easy_setopt(handle.get(), CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count()));
    curl_easy_setopt(handle.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
    if (!request.uses_proxy)
        curl_easy_setopt(handle.get(), CURLOPT_NOPROXY, "*");
    curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, &take);
    curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &fetched.body);
    const CURLcode code = curl_easy_perform(handle.get());
    if (code == CURLE_OK)
        curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &fetched.status);
    else
        fetched.trouble = curl_easy_strerror(code);
    return fetched;
}

std::string read_token(const std::string& path) {
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::size_t begin = text.find_first_not_of(" \t\r\n");
    if (!file || begin == std::string::npos)
        throw Error(Errc::invalid_configuration, "no token can be read from " + path + ": check its path and rights");
    return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

}  // namespace txm::aws::detail
