#include "txm/inbox.hpp"

#include "txm/error.hpp"

namespace txm {

awaitable<void> ensure_idempotence(Incoming incoming, InboxRepository& inbox) {
    const std::optional<ProcessedMessage> known = co_await inbox.get(incoming);
    // A dead letter had no effect: its replay may still have one.
    const bool may_run = !known || (incoming.replay && known->state == InboxState::dead);
    if (!may_run) {
        const bool differs =
            known->payload_hash && incoming.payload_hash && *known->payload_hash != *incoming.payload_hash;
        throw MessageAlreadyProcessedError(incoming.message_id, differs);
    }
    inbox.save(incoming);
}

}  // namespace txm
