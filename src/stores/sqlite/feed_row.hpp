#pragma once

#include "sqlite/connection.hpp"
#include "txm/message.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace txm::sqlite::detail {

/// The columns of an outbox that read_outbox_row() expects, from column 0 on; `o` is the outbox.
inline constexpr std::string_view outbox_row_columns =
    "o.sequence, o.message_id, o.aggregate_id, o.correlation_id, o.topic, o.type, o.payload, o.headers, o.created_at, "
    "o.stored_at, o.state, o.attempts, o.replays, o.approximate_dispatch_count, o.last_dispatched_at";
inline constexpr int outbox_row_width = 15;

/// Reads a row that any program may have written. What is wrong with it is told in `problem`, one clear sentence; then
/// `message` has what could be read of it, and no payload that is too large.
/// @returns whether the message can be sent
bool read_outbox_row(const Query& row, std::size_t max_payload, StoredMessage& message, std::string& problem);

/// The columns of a message beside an outbox (txm_parked, txm_dead_letter), see read_kept_message().
inline constexpr std::string_view kept_message_columns =
    "message_id, topic, type, aggregate_id, correlation_id, payload, headers, created_at, stored_at, sequence, "
    "partition, "
    "position";
inline constexpr int kept_message_width = 12;

/// Reads the message at `kept_message_columns` from column 0 on; columns that are null or damaged are left empty.
StoredMessage read_kept_message(const Query& row);

}  // namespace txm::sqlite::detail
