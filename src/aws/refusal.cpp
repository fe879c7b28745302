#include "aws/refusal.hpp"

#include <curl/curl.h>
#include <boost/json.hpp>
#include <pugixml.hpp>

#include <string_view>
#include <utility>

namespace txm::aws::detail {
namespace {

/// `com.amazonaws.dynamodb.v20120810#Name` and `Name:http://…` are `Name`.
std::string bare(std::string_view type) {
    type = type.substr(0, type.find(':'));
    const std::size_t hash = type.rfind('#');
    return std::string(hash == std::string_view::npos ? type : type.substr(hash + 1));
}

std::string text_at(const boost::json::object& object, std::string_view key) {
    const boost::json::value* const value = object.if_contains(key);
    const boost::json::string* const text = value ? value->if_string() : nullptr;
    return text ? std::string(*text) : std::string();
}

void read_json(const std::string& body, Refusal& refusal) {
    boost::json::error_code bad;
    const boost::json::value value = boost::json::parse(body, bad);
    const boost::json::object* const object = bad ? nullptr : value.if_object();
    if (!object)
        return;
    if (refusal.type.empty())
        refusal.type = bare(text_at(*object, "__type"));
    if (refusal.type.empty())
        refusal.type = bare(text_at(*object, "code"));
    for (const std::string_view key : {"message", "Message"})
        if (refusal.message.empty())
            refusal.message = text_at(*object, key);
}

void read_xml(const std::string& body, Refusal& refusal) {
    pugi::xml_document document;
    if (!document.load_buffer(body.data(), body.size()))
        return;
    const pugi::xml_node error = document.child("ErrorResponse").child("Error");
    if (refusal.type.empty())
        refusal.type = error.child_value("Code");
    refusal.message = error.child_value("Message");
}

/// A signature's refusal goes on to show what was signed; its first line says enough.
std::string first_line(const std::string& text) {
    return text.substr(0, text.find_first_of("\r\n"));
}

std::string advice(ErrorKind kind, const Service& service, const std::string& region) {
    switch (kind) {
        case ErrorKind::clock: return "set this machine's clock";
        case ErrorKind::expired: return "renew the credentials (for a profile: aws sso login, or new keys)";
        case ErrorKind::unknown_key:
            return "check the access key and its session token, and that they are for region " + region;
        case ErrorKind::bad_signature:
            return "check the secret access key, and that the endpoint belongs to region " + region;
        case ErrorKind::denied:
            return "allow it in the IAM policy of these credentials, for region " + region +
                   ", and in that of the KMS key if there is one";
        case ErrorKind::missing:
            return "check its name and that region " + region + " is the right one, or create it with txm migrate";
        case ErrorKind::throttled: return "the same request may succeed later; raise the capacity or the limit";
        case ErrorKind::outage: return "the same request may succeed later";
        case ErrorKind::other: break;
    }
    return "see the manual of " + service.name + " for this error";
}

Errc code_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::throttled:
        case ErrorKind::outage:
        case ErrorKind::expired: return Errc::store_unavailable;
        case ErrorKind::clock:
        case ErrorKind::unknown_key:
        case ErrorKind::bad_signature:
        case ErrorKind::denied: return Errc::invalid_configuration;
        case ErrorKind::missing: return Errc::schema_missing;
        case ErrorKind::other: break;
    }
    return Errc::not_supported;
}

}  // namespace

Refusal read_refusal(const Answer& answer, Protocol protocol) {
    Refusal refusal;
    refusal.type = bare(answer.error_type);
    if (protocol == Protocol::query)
        read_xml(answer.body, refusal);
    else
        read_json(answer.body, refusal);
    refusal.kind = kind_of(refusal.type);
    if (refusal.kind == ErrorKind::bad_signature)
        refusal.message = first_line(refusal.message);
    if (refusal.kind == ErrorKind::other && answer.status == 429)
        refusal.kind = ErrorKind::throttled;
    if (refusal.kind == ErrorKind::other && answer.status >= 500)
        refusal.kind = ErrorKind::outage;
    if (refusal.type.empty())
        refusal.type = "HTTP " + std::to_string(answer.status);
    return refusal;
}

void hide_secrets(Refusal& refusal, Answer& answer, const Credentials& credentials) {
    if (refusal.kind != ErrorKind::bad_signature && refusal.kind != ErrorKind::unknown_key &&
        refusal.kind != ErrorKind::expired && refusal.kind != ErrorKind::clock)
        return;
    for (const std::string* const secret : {&credentials.token, &credentials.secret_access_key})
        for (std::string* const text : {&refusal.message, &answer.body})
            for (std::size_t at = 0; !secret->empty() && (at = text->find(*secret, at)) != std::string::npos; at += 3)
                text->replace(at, secret->size(), "***");
}

std::optional<std::chrono::system_clock::time_point> server_time(const Answer& answer) {
    const time_t time = curl_getdate(answer.date.c_str(), nullptr);
    if (answer.date.empty() || time < 0)
        return std::nullopt;
    return std::chrono::system_clock::from_time_t(time);
}

ServiceError to_error(const Refusal& refusal, const Answer& answer, const Service& service, const std::string& region,
                      int unanswered) {
    std::string what = service.name + " refused a request with " + refusal.type;
    if (!refusal.message.empty())
        what += " (" + refusal.message + ")";
    what += ": " + advice(refusal.kind, service, region);
    return {code_of(refusal.kind), std::move(what), static_cast<int>(answer.status), refusal.type, refusal.message,
            answer.body,           unanswered};
}

}  // namespace txm::aws::detail
