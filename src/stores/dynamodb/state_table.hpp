#pragma once

#include "txm/item.hpp"
#include "txm/message.hpp"

#include <string>
#include <string_view>

/// The keys of `<outbox>-txm`, which holds what txm knows beyond the outbox: its hash key is PK, its range key SK.
namespace txm::dynamodb::detail {

/// A sequence as text that sorts like the number: 20 digits.
std::string fixed_width(Sequence sequence);
/// A time as text that sorts like the time: ISO 8601, always with six digits of fraction.
std::string fixed_width(Timestamp time);

Item state_key(std::string hash, std::string range);

/// LastSequence N, LastMessageId S.
Item counter_key(const AggregateId& aggregate_id);
/// Member S, Fence N, Version N, Released BOOL.
Item lease_key();
/// SequenceNumber S.
Item position_key(std::string_view stream_arn, std::string_view shard_id);
/// FromSequence N, Attempts N, NextAttemptAt S, Reason S, Held BOOL.
Item lane_key(const AggregateId& aggregate_id);
/// Finds lanes by when they are due; written and deleted in one transaction with the lane.
Item due_key(Timestamp next_attempt, const AggregateId& aggregate_id);
/// State S (parked | dead | skipped), Attempts N, Replays N, Reason S, AggregateId S, Sequence N: only when there is
/// something to say about the message.
Item message_state_key(const Uuid& message_id);
/// Finds what is parked in a lane, in its order.
Item parked_key(const AggregateId& aggregate_id, Sequence sequence, const Uuid& message_id);
/// Finds dead letters.
Item dead_key(Sequence sequence, const Uuid& message_id);

}  // namespace txm::dynamodb::detail
