#include "aws/signer.hpp"

#include <cstdio>
#include <utility>

namespace txm::aws::detail {
namespace {

void append_names(std::string& out, std::span<const SignedHeader> headers) {
    bool is_first = true;
    for (const SignedHeader& header : headers) {
        if (!is_first)
            out += ';';
        is_first = false;
        out += header.name;
    }
}

}  // namespace

Signer::Signer(std::string region, std::string service) : region_(std::move(region)), service_(std::move(service)) {}

void Signer::derive_key(std::string_view day) {
    day_ = day;
    scope_ = day_ + "/" + region_ + "/" + service_ + "/aws4_request";
    key_ = sha256_.hmac("AWS4" + credentials_->secret_access_key, day);
    for (const std::string_view part :
         {std::string_view(region_), std::string_view(service_), std::string_view("aws4_request")})
        key_ = sha256_.hmac(bytes_of(key_), part);
}

void Signer::sign(std::string& out, const Signable& request, const std::shared_ptr<const Credentials>& credentials,
                  std::string_view timestamp) {
    const std::string_view day = timestamp.substr(0, 8);
    if (credentials != credentials_ || day != day_) {
        credentials_ = credentials;
        derive_key(day);
    }

    text_.clear();
    text_.append(request.method).append("\n").append(request.path).append("\n").append(request.query).append("\n");
    for (const SignedHeader& header : request.headers)
        text_.append(header.name).append(":").append(header.value).append("\n");
    text_ += '\n';
    append_names(text_, request.headers);
    text_ += '\n';
    append_hex(text_, sha256_.hash(request.body));
    const Digest canonical = sha256_.hash(text_);

    text_.assign("AWS4-HMAC-SHA256\n").append(timestamp).append("\n").append(scope_).append("\n");
    append_hex(text_, canonical);
    const Digest signature = sha256_.hmac(bytes_of(key_), text_);

    out.append("AWS4-HMAC-SHA256 Credential=").append(credentials->access_key_id).append("/").append(scope_);
    out += ", SignedHeaders=";
    append_names(out, request.headers);
    out += ", Signature=";
    append_hex(out, signature);
}

std::string to_timestamp(std::chrono::system_clock::time_point time) {
    using namespace std::chrono;
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{floor<seconds>(time) - day};
    char text[40];
    const int size = std::snprintf(text, sizeof text, "%04d%02u%02uT%02d%02d%02dZ", static_cast<int>(date.year()),
                                   static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                   static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                                   static_cast<int>(clock.seconds().count()));
    return {text, static_cast<std::size_t>(size)};
}

}  // namespace txm::aws::detail
