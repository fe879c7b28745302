#include "aws/transfer.hpp"

#include "aws/ca_file.hpp"

#include <sys/socket.h>
#include <zlib.h>

#include <cctype>
#include <cstdlib>
#include <new>

namespace txm::aws::detail {
namespace {

void check(CURLcode code) {
    if (code != CURLE_OK)
        throw Error(Errc::not_supported, std::string("libcurl cannot do what txm needs: ") + curl_easy_strerror(code));
}

template <class Value>
void set(CURL* handle, CURLoption option, Value value) {
    check(curl_easy_setopt(handle, option, value));
}

/// The header's value when it is the one named so; else empty.
std::string_view value_of(std::string_view line, std::string_view name) {
    if (line.size() <= name.size() || line[name.size()] != ':')
        return {};
    for (std::size_t i = 0; i < name.size(); ++i)
        if (std::tolower(static_cast<unsigned char>(line[i])) != name[i])
            return {};
    line.remove_prefix(name.size() + 1);
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos)
        return {};
    const std::size_t end = line.find_last_not_of(" \t\r\n");
    return end < begin || end == std::string_view::npos ? std::string_view{} : line.substr(begin, end - begin + 1);
}

std::string_view request_id_of(std::string_view line) {
    const std::string_view id = value_of(line, "x-amzn-requestid");
    return id.empty() ? value_of(line, "x-amz-request-id") : id;
}

}  // namespace

Transfer::Transfer(const std::string& url, std::chrono::milliseconds connect_timeout) : handle_(curl_easy_init()) {
    CURL* const handle = handle_.get();
    if (!handle)
        throw std::bad_alloc();
    set(handle, CURLOPT_URL, url.c_str());
    set(handle, CURLOPT_POST, 1L);
    set(handle, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(handle, CURLOPT_NOSIGNAL, 1L);
    set(handle, CURLOPT_TCP_KEEPALIVE, 1L);
    set(handle, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connect_timeout.count()));
    set(handle, CURLOPT_PRIVATE, static_cast<void*>(this));
    set(handle, CURLOPT_ERRORBUFFER, trouble_.data());
    set(handle, CURLOPT_WRITEFUNCTION, &Transfer::take_body);
    set(handle, CURLOPT_WRITEDATA, static_cast<void*>(this));
    set(handle, CURLOPT_HEADERFUNCTION, &Transfer::take_header);
    set(handle, CURLOPT_HEADERDATA, static_cast<void*>(this));
    set(handle, CURLOPT_PREREQFUNCTION, &Transfer::before_sending);
    set(handle, CURLOPT_PREREQDATA, static_cast<void*>(this));
    if (const char* file = ca_file())
        set(handle, CURLOPT_CAINFO, file);
}

void Transfer::begin() {
    headers_ = 0;
    answer_.status = 0;
    answer_.body.clear();
    answer_.error_type.clear();
    answer_.date.clear();
    answer_.request_id.clear();
    answer_.trouble.clear();
    answer_.was_sent = false;
    answer_.is_whole = false;
    crc32_.reset();
    answer_.resent = 0;
    trouble_[0] = '\0';
}

std::string& Transfer::add_header() {
    std::string& line = lines_.at(headers_++);
    line.clear();
    return line;
}

void Transfer::set_up(Call& call, std::chrono::milliseconds timeout) {
    call_ = &call;
    for (std::size_t i = 0; i < headers_; ++i) {
        list_[i].data = lines_[i].data();
        list_[i].next = i + 1 < headers_ ? &list_[i + 1] : nullptr;
    }
    CURL* const handle = handle_.get();
    set(handle, CURLOPT_HTTPHEADER, list_.data());
    set(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    set(handle, CURLOPT_POSTFIELDS, call.body.data());
    set(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout.count()));
}

Answer& Transfer::conclude(CURLcode code) {
    answer_.code = code;
    curl_easy_getinfo(handle_.get(), CURLINFO_RESPONSE_CODE, &answer_.status);
    if (crc32_ && answer_.is_whole)
        answer_.is_whole =
            crc32_z(0, reinterpret_cast<const Bytef*>(answer_.body.data()), answer_.body.size()) == *crc32_;
    if (code != CURLE_OK)
        answer_.trouble = trouble_[0] ? trouble_.data() : curl_easy_strerror(code);
    else if (!answer_.is_whole)
        answer_.trouble = "the answer was cut or damaged";
    call_ = nullptr;
    return answer_;
}

// libcurl keeps it, and finds it ended before it uses it again.
void Transfer::end_connection() noexcept {
    curl_socket_t socket = CURL_SOCKET_BAD;
    if (curl_easy_getinfo(handle_.get(), CURLINFO_ACTIVESOCKET, &socket) == CURLE_OK && socket != CURL_SOCKET_BAD)
        ::shutdown(socket, SHUT_RDWR);
}

long Transfer::connects() const noexcept {
    long count = 0;
    curl_easy_getinfo(handle_.get(), CURLINFO_NUM_CONNECTS, &count);
    return count;
}

std::size_t Transfer::take_body(char* data, std::size_t size, std::size_t count, void* self) {
    static_cast<Transfer*>(self)->answer_.body.append(data, size * count);
    return size * count;
}

// libcurl takes headers that were cut for a whole answer without a body, so their end is looked for.
std::size_t Transfer::take_header(char* data, std::size_t size, std::size_t count, void* self) {
    const std::string_view line(data, size * count);
    Transfer& transfer = *static_cast<Transfer*>(self);
    Answer& answer = transfer.answer_;
    switch (line.front()) {
        case '\r':
        case '\n': answer.is_whole = true; break;
        case 'H':
            if (line.starts_with("HTTP/"))
                answer.is_whole = false;
            break;
        case 'd':
        case 'D':
            if (const std::string_view date = value_of(line, "date"); !date.empty())
                answer.date = date;
            break;
        case 'x':
        case 'X':
            if (const std::string_view type = value_of(line, "x-amzn-errortype"); !type.empty())
                answer.error_type = type;
            else if (const std::string_view id = request_id_of(line); !id.empty())
                answer.request_id = id;
            else if (const std::string_view sum = value_of(line, "x-amz-crc32"); !sum.empty())
                transfer.crc32_ = static_cast<std::uint32_t>(std::strtoul(std::string(sum).c_str(), nullptr, 10));
            break;
        default: break;
    }
    return line.size();
}

// libcurl sends a request again, over a new connection, when a kept-alive one dies under it before the first byte of an
// answer. It passes here each time, and only here it shows: the service may have carried out what went over the first.
int Transfer::before_sending(void* self, char*, char*, int, int) {
    Transfer& transfer = *static_cast<Transfer*>(self);
    if (transfer.answer_.was_sent) {
        if (transfer.call_->options.repeat == Repeat::until_sent)
            return CURL_PREREQFUNC_ABORT;
        ++transfer.answer_.resent;
    }
    transfer.answer_.was_sent = true;
    return CURL_PREREQFUNC_OK;
}

}  // namespace txm::aws::detail
