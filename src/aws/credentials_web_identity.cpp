#include "aws/client.hpp"
#include "aws/credentials.hpp"
#include "aws/endpoint.hpp"
#include "aws/environment.hpp"
#include "aws/fetch.hpp"
#include "aws/refusal.hpp"
#include "txm/timestamp.hpp"

#include <pugixml.hpp>

#include <cctype>
#include <utility>

namespace txm::aws::detail {
namespace {

std::string percent_encoded(std::string_view text) {
    constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) || c == '-' || c == '_' || c == '.' || c == '~') {
            out += c;
        } else {
            out += '%';
            out += digits[byte >> 4];
            out += digits[byte & 15];
        }
    }
    return out;
}

Keys read_answer(const std::string& body) {
    pugi::xml_document document;
    document.load_buffer(body.data(), body.size());
    const pugi::xml_node credentials = document.child("AssumeRoleWithWebIdentityResponse")
                                           .child("AssumeRoleWithWebIdentityResult")
                                           .child("Credentials");
    Credentials given(credentials.child_value("AccessKeyId"), credentials.child_value("SecretAccessKey"),
                      credentials.child_value("SessionToken"));
    const std::optional<Timestamp> expiry = try_parse_iso8601(credentials.child_value("Expiration"));
    if (given.access_key_id.empty() || given.secret_access_key.empty() || !expiry)
        throw Error(Errc::store_unavailable, "the Security Token Service gave an answer without credentials");
    return Keys(std::move(given), *expiry);
}

}  // namespace

// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html: not signed, the token is proof.
Keys assume_role(const WebIdentity& identity, const std::string& region) {
    const Service sts{"sts", "sts", Protocol::query};
    const std::string token = read_token(identity.token_file);
    const std::string session = identity.session_name.empty() ? "txm" : identity.session_name;
    const Endpoint endpoint = endpoint_of(ClientOptions(region), sts, region);
    FetchRequest request(endpoint.url + endpoint.path);
    request.method = "POST";
    request.headers = {"Content-Type: application/x-www-form-urlencoded; charset=utf-8"};
    request.body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=" + percent_encoded(identity.role_arn) +
                   "&RoleSessionName=" + percent_encoded(session) + "&WebIdentityToken=" + percent_encoded(token);
    const Fetched fetched = fetch(request);
    if (fetched.status == 200)
        return read_answer(fetched.body);
    if (fetched.status == 0)
        throw Error(Errc::store_unavailable, "no credentials for role " + identity.role_arn + ": " + endpoint.url +
                                                 " did not answer (" + fetched.trouble + ")");
    Answer answer;
    answer.status = fetched.status;
    answer.body = fetched.body;
    const Refusal refusal = read_refusal(answer, sts.protocol);
    const bool is_passing = refusal.kind == ErrorKind::throttled || refusal.kind == ErrorKind::outage;
    throw Error(is_passing ? Errc::store_unavailable : Errc::invalid_configuration,
                "no credentials for role " + identity.role_arn + ": " + endpoint.url + " refused the token in " +
                    identity.token_file + " with " + refusal.type +
                    "; check the role's trust policy and that the token is fresh");
}

// https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html
std::optional<Keys> credentials_from_web_identity(const std::string& region) {
    WebIdentity identity{environment("AWS_WEB_IDENTITY_TOKEN_FILE"), environment("AWS_ROLE_ARN"),
                         environment("AWS_ROLE_SESSION_NAME")};
    if (identity.token_file.empty())
        return std::nullopt;
    if (identity.role_arn.empty())
        throw Error(Errc::invalid_configuration, "AWS_WEB_IDENTITY_TOKEN_FILE is set without AWS_ROLE_ARN: set both");
    return assume_role(identity, region);
}

}  // namespace txm::aws::detail
