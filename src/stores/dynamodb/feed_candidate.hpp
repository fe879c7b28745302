#pragma once

#include "txm/item.hpp"
#include "txm/message.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace txm::dynamodb::detail {

/// A row of the outbox that may have to be sent, as far as it is known.
struct Candidate {
    std::string row_key;
    StoredMessage message;  ///< of one that was only heard of: the id alone
    Uuid previous;          ///< the message before it in its aggregate
    bool is_read = false;   ///< what the row says is known
    /// The row was read, after it was heard of: it waited to be sent then.
    bool is_checked = false;
    bool is_light = false;   ///< its place in its aggregate is known; its payload was let go, and its row is read again
    bool is_due = false;     ///< of a light one: when that is read it can be given
    bool is_parked = false;  ///< it is a member of a blocked lane
    bool has_state = false;  ///< the state table says something of it
    std::chrono::steady_clock::time_point found_at{};
};

/// The id of the message in a row: that of its key, or one that is made from a key that has none.
Uuid message_id_of(std::string_view row_key);

/// Heard of, but not read.
Candidate candidate_of(std::string row_key);

/// What is left is enough to wait for its turn, or to park it.
void let_payload_go(Candidate& candidate);

/// What a row says. One that no message can be made of becomes a dead letter, see OutboxFeed::read().
Candidate candidate_of(const Item& row, std::size_t max_payload);

}  // namespace txm::dynamodb::detail
