#pragma once

#include "aws/client.hpp"
#include "aws/error_types.hpp"
#include "aws/transfer.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace txm::aws::detail {

/// A service's no, read.
struct Refusal {
    ErrorKind kind = ErrorKind::other;
    std::string type;     ///< without namespace
    std::string message;  ///< the service's own words
};

Refusal read_refusal(const Answer& answer, Protocol protocol);

/// A refusal of a signature shows what was signed, and with it the session token: replaces it in the refusal and the answer.
void hide_secrets(Refusal& refusal, Answer& answer, const Credentials& credentials);

/// What the service's clock shows, by its header Date. Nothing when there is none.
std::optional<std::chrono::system_clock::time_point> server_time(const Answer& answer);

/// The error that the caller of the client sees.
ServiceError to_error(const Refusal& refusal, const Answer& answer, const Service& service, const std::string& region,
                      int unanswered);

}  // namespace txm::aws::detail
