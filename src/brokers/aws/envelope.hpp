#pragma once

#include "txm/message.hpp"

#include <optional>
#include <string>
#include <string_view>

/// The JSON that tomodachi services exchange (its `json_base` envelope).
namespace txm::aws::detail {

std::string base64(std::string_view bytes);

/// Empty for what is not base64.
std::optional<std::string> from_base64(std::string_view text);

struct Wrapped {
    std::string body;
    bool is_text = false;  ///< the payload is not JSON: `data` is a string that holds it
};

/// The payload becomes `data` with its own text, byte for byte; from 60,000 characters it is compressed, and so is what has
/// characters that SQS does not allow.
Wrapped wrap_for_tomodachi(const StoredMessage& message);

/// What an envelope says.
struct Unwrapped {
    std::string data;  ///< the source text of the value
    std::string topic;
    Uuid message_id;  ///< nil when there is none
    std::optional<Timestamp> created_at;
};

/// Empty for what is no such envelope. @throws Error(invalid_message) for one whose data cannot be unpacked
std::optional<Unwrapped> unwrap_tomodachi(std::string_view body);

}  // namespace txm::aws::detail
