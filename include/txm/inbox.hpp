#pragma once

#include "txm/incoming.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>

namespace txm {

using boost::asio::awaitable;

/// What was decided about a message: the inbox row's column `state`.
enum class InboxState : std::uint8_t {
    processed = 0,
    dead = 1,     ///< a dead letter: it had no effect
    skipped = 2,  ///< skipped by an operator: it had no effect
};

/// An inbox row.
struct ProcessedMessage {
    Uuid message_id;
    Timestamp created_at{};
    InboxState state = InboxState::processed;
    std::optional<std::uint64_t> payload_hash{};
};

/// Remembers which messages took effect, in the transaction of the effect.
/// *Lifetime*: bound to its session; used after it, functions throw std::logic_error. *Thread safety*: as the session.
class InboxRepository {
public:
    virtual ~InboxRepository() = default;

    /// Stages the inbox row. A race that is lost at commit is MessageAlreadyProcessedError there; a message older than
    /// what the inbox remembers is OutsideInboxWindowError there. An Incoming that is a replay turns the row of a dead
    /// letter into `processed` instead. Saving one (consumer, message_id) again in the same transaction changes nothing: it
    /// is one row.
    virtual void save(const Incoming& incoming) = 0;

    /// The committed row, read with strong consistency.
    virtual awaitable<std::optional<ProcessedMessage>> get(Incoming incoming) = 0;
};

/// Throws MessageAlreadyProcessedError when the inbox has the message, else stages its row.
awaitable<void> ensure_idempotence(Incoming incoming, InboxRepository& inbox);

}  // namespace txm
