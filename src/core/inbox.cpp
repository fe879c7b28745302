#include "txm/inbox.hpp"

#include "txm/error.hpp"

namespace txm {

awaitable<void> ensure_idempotence(Incoming incoming, InboxRepository& inbox) {
    const std::optional<ProcessedMessage> known = co_await inbox.get(incoming);
    // A dead letter had no effect: its replay may still have one.
    const bool may_run = !known || (incoming.replay && known->state == InboxState::dead);
    if (!may_run)
        throw MessageAlreadyProcessedError(incoming.message_id);
    inbox.save(incoming);
}

}  // namespace txm
