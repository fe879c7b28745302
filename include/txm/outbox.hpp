#pragma once

#include "txm/outbox_writer.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <vector>

namespace txm {

using boost::asio::awaitable;

/// Messages that are committed together with the application's own writes.
/// *Lifetime*: bound to its session; used after it, functions throw std::logic_error. *Thread safety*: as the session.
class OutboxRepository : public OutboxWriter {
public:
    /// The committed message of that id, if there is one.
    virtual awaitable<std::optional<StoredMessage>> get(Uuid message_id) = 0;

    /// Records that a broker has the message, at once, or in the transaction that the session has open; each call adds
    /// one to approximate_dispatch_count. What was a dead letter is none any more.
    /// @throws MessageNotFoundError
    virtual awaitable<void> mark_as_dispatched(Uuid message_id) = 0;

    /// All messages that are neither dispatched nor dead, oldest first. Meant for small services and tests: it holds
    /// them all in memory; the relay does not use it.
    virtual awaitable<std::vector<StoredMessage>> get_not_dispatched_messages() = 0;

protected:
    using OutboxWriter::OutboxWriter;
};

}  // namespace txm
