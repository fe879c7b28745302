#pragma once

#include "txm/item.hpp"
#include "txm/message.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace txm::dynamodb::detail {

/// Values of NotDispatched, the hash key of the index of undispatched messages. Tables that are shared with programs which
/// know no other keep `x` for parked and dead ones, too.
inline constexpr std::string_view not_dispatched = "x", not_dispatched_parked = "p", not_dispatched_dead = "d";

/// `MESSAGE#<id>`: the hash key of a message in its outbox, and of one in the inbox of an unnamed consumer.
std::string key_of(const Uuid& message_id);

/// The key of a row of the outbox.
Item outbox_key(const Uuid& message_id);

/// How a row differs between tables.
struct OutboxLayout {
    bool compat = false;  ///< only what other programs of this layout write, and what they do not know of a message
};

/// Appends the row of a message that is pending, as typed JSON. @param previous of its aggregate; nil: it is the first, or
/// it has no sequence
void append_outbox_row(std::string& out, const StoredMessage& message, const Uuid& previous, OutboxLayout layout);

/// Reads a row that any program may have written. What is wrong with it is told in `problem`, one clear sentence; then
/// `message` has what could be read of it, and no payload that is too large.
/// @returns whether the message can be sent
bool read_outbox_row(const Item& row, std::size_t max_payload, StoredMessage& message, std::string& problem);

/// The same without a limit. @throws Error(invalid_message)
StoredMessage message_of(const Item& row);

/// The message before it in its aggregate; nil when it is the first, or has no sequence.
Uuid previous_message_id(const Item& row);

/// Adds what the state table says of a message (see message_state_key) to what its row says.
void apply_state(StoredMessage& message, const Item& state);

/// The text of an attribute of type S; null when there is none.
const std::string* text_of(const Item& item, std::string_view name) noexcept;
/// The integer of an attribute of type N; `otherwise` when there is none.
std::int64_t integer_of(const Item& item, std::string_view name, std::int64_t otherwise = 0) noexcept;
bool boolean_of(const Item& item, std::string_view name) noexcept;

}  // namespace txm::dynamodb::detail
