#pragma once

#include "aws/call.hpp"

#include <curl/curl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace txm::aws::detail {

/// How one attempt ended.
struct Answer {
    CURLcode code = CURLE_OK;
    long status = 0;
    std::string body;
    std::string error_type;  ///< the header x-amzn-errortype
    std::string date;        ///< the header Date
    std::string request_id;  ///< the header x-amzn-RequestId or x-amz-request-id: the service's name of this answer
    bool was_sent = false;   ///< false: the service has not seen it
    int resent = 0;          ///< how often libcurl sent it again over another connection
    bool is_whole = false;  ///< the headers came to their end, and what the header x-amz-crc32 says of the body is true
    std::string trouble;    ///< libcurl's words when there was no answer
};

/// One HTTP exchange, made again and again: a handle of libcurl and its buffers. *Thread safety*: none.
class Transfer {
public:
    Transfer(const std::string& url, std::chrono::milliseconds connect_timeout);
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    /// The headers of the next request, as `name: value`; lasts until the next begin().
    void begin();
    std::string& add_header();

    /// Prepares the handle for what add_header() made. The call stays where it is until the transfer is over.
    void set_up(Call& call, std::chrono::milliseconds timeout);

    /// It does not begin after all.
    void forget() noexcept { call_ = nullptr; }

    /// To be called once it is over: the answer, until the next begin().
    Answer& conclude(CURLcode code);

    /// Ends the connection that the last answer came over: nothing that comes over it can be trusted.
    void end_connection() noexcept;

    CURL* handle() const noexcept { return handle_.get(); }
    Call* call() const noexcept { return call_; }
    long connects() const noexcept;

private:
    static constexpr std::size_t max_headers = 8;

    static std::size_t take_body(char* data, std::size_t size, std::size_t count, void* self);
    static std::size_t take_header(char* data, std::size_t size, std::size_t count, void* self);
    static int before_sending(void* self, char* to, char* from, int to_port, int from_port);

    struct Free {
        void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
    };
    std::unique_ptr<CURL, Free> handle_;
    Call* call_ = nullptr;
    std::array<std::string, max_headers> lines_;
    std::array<curl_slist, max_headers> list_{};
    std::size_t headers_ = 0;
    Answer answer_;
    std::optional<std::uint32_t> crc32_;  // of the body, as the header x-amz-crc32 has it
    std::array<char, CURL_ERROR_SIZE> trouble_{};
};

}  // namespace txm::aws::detail
