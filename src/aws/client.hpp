#pragma once

#include "txm/aws_client.hpp"
#include "txm/error.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace txm::aws {

using boost::asio::awaitable;

/// How a service is spoken to.
enum class Protocol : std::uint8_t {
    json_1_0,  ///< `application/x-amz-json-1.0` with the header X-Amz-Target: DynamoDB, SQS
    query,     ///< `application/x-www-form-urlencoded`, XML answers: SNS, STS
};

struct Service {
    std::string name;         ///< what the signature is for: `dynamodb`, `sqs`, `sns`
    std::string host_prefix;  ///< `dynamodb` or `streams.dynamodb`: the host is PREFIX.REGION.amazonaws.com
    Protocol protocol = Protocol::json_1_0;
};

/// What may be done when an attempt brought no clear answer.
enum class Repeat : std::uint8_t {
    freely,      ///< the request may be carried out twice: a read, or one with a token
    until_sent,  ///< only while no attempt can have been carried out (throttled, refused, not connected)
};

class CallOptions {
public:
    CallOptions() = default;
    explicit CallOptions(Repeat how) : repeat(how) {}

    Repeat repeat = Repeat::freely;
    std::optional<std::chrono::milliseconds> timeout{};  ///< of an attempt, instead of ClientOptions::request_timeout
    std::optional<int> max_attempts{};
    bool bears_throttling = false;  ///< throttled, it is tried as often as ClientOptions::max_attempts says
};

/// An answer with a 2xx status.
struct Response {
    std::string body;
    int unanswered = 0;  ///< attempts before this one that may have been carried out
};

/// An answer that says no (4xx, or 5xx when nothing more is tried).
/// code() is what it means to txm: store_unavailable (retryable) for throttling, 5xx and expired credentials that could not be
/// renewed; invalid_configuration for what an operator has to mend (access, signature, region), with a sentence that says how;
/// schema_missing for a table or queue that does not exist; not_supported for the rest, to be told apart by type().
class ServiceError : public Error {
public:
    ServiceError(Errc code, std::string what, int status, std::string type, std::string message, std::string body,
                 int unanswered);

    int status() const noexcept { return status_; }
    const std::string& type() const noexcept {
        return type_;
    }  ///< without namespace: `ConditionalCheckFailedException`
    const std::string& message() const noexcept { return message_; }  ///< the service's own words
    const std::string& body() const noexcept { return body_; }
    /// See Response. A 5xx counts itself, too: the service may have failed after it had carried the request out.
    int unanswered() const noexcept { return unanswered_; }

private:
    int status_;
    std::string type_, message_, body_;
    int unanswered_;
};

/// No answer came: the request may have been carried out, or not. Error(store_unavailable) when it cannot have been.
class UnansweredError : public Error {
public:
    explicit UnansweredError(std::string what);
};

/// A client of one service: a pool of kept-alive connections, driven by one thread of its own that starts with the first
/// request, and signed requests. Under sync_wait an idle client works on the caller's own thread.
/// *Thread safety*: any number of threads and coroutines. *Cancellation*: ignored; an attempt ends at its timeout.
/// *Lifetime*: its destructor fails what is under way with UnansweredError and waits for its thread.
class Client {
public:
    /// No I/O. @throws Error(invalid_configuration): no region, a malformed endpoint or profile
    Client(ClientOptions options, Service service);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// @param action of a JSON protocol: `DynamoDB_20120810.PutItem`; of the query protocol: part of the body, and empty here
    /// @param body sent as it is, at every attempt. Lives in the coroutine's frame: nothing is copied after the call
    /// @throws ServiceError, UnansweredError, Error(store_unavailable) when it could not connect
    awaitable<Response> call(std::string action, std::string body, CallOptions options = {});

    /// Fails what is under way, and every call that comes later, as the destructor does; the client stays where it is.
    void close() noexcept;

    const std::string& region() const noexcept;
    const std::string& endpoint() const noexcept;  ///< scheme, host and port

    /// How many connections were opened so far.
    std::uint64_t connects() const noexcept;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace txm::aws
