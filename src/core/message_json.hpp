#pragma once

#include "txm/message.hpp"

#include <string>
#include <string_view>

namespace txm::detail {

/// Reads the JSON form of a message: an object with `topic`, `aggregate_id`, `payload`, and optionally `message_id`
/// (default: a new one), `correlation_id` (default: the message_id), `type`, `created_at` (default: now) and `headers`.
/// `sequence`, `stored_at` and `state`, which output has, are ignored. A payload that is a string gives its text, any
/// other its own source text, byte for byte. Does not validate() the message.
/// @throws Error(invalid_message): not JSON, a key that is unknown or stands there twice, a value of the wrong kind, a
///         required key missing
StoredMessage message_from_json(std::string_view text);

/// Appends the JSON form of a message to `out`, on one line, without a line end. The payload is always a JSON string.
void append_message_json(std::string& out, const StoredMessage& message);

std::string message_to_json(const StoredMessage& message);

}  // namespace txm::detail
