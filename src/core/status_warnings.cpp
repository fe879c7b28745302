#include "core/status_warnings.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace txm::detail {
namespace {

// A backlog is nothing to worry about while somebody works on it; without a relay it is.
constexpr std::chrono::seconds old_without_relay{60};

std::string plural(std::uint64_t number, std::string_view one) {
    return std::to_string(number) + " " + std::string(one) + (number == 1 ? "" : "s");
}

}  // namespace

void add_warnings(StoreStatus& status, std::string_view lease) {
    const std::string decide =
        " --state dead`, then `txm messages replay` or `skip` with the same options and --yes, or with ids; "
        "the --store is that of this command";
    const auto warn = [&](std::string text) { status.warnings.push_back(std::move(text)); };
    if (status.dead > 0 || status.lanes_held > 0) {
        const std::string held =
            status.lanes_held > 0 ? ", " + plural(status.lanes_held, "aggregate") + " held until you decide" : "";
        warn(plural(status.dead, "dead letter") + " in the outbox" + held + ": see `txm messages list" + decide);
    }
    const bool has_relay =
        std::ranges::any_of(status.leases, [&](const LeaseStatus& l) { return l.name == lease && l.is_held; });
    if (!has_relay && status.oldest_pending_age.value_or(std::chrono::seconds{0}) > old_without_relay)
        warn("messages wait since " + std::to_string(status.oldest_pending_age->count()) +
             " s and no relay is running: start `txm relay` with the --store of this command");
    for (const InboxStatus& inbox : status.inboxes) {
        if (inbox.dead > 0)
            warn(plural(inbox.dead, "dead letter") + " of consumer '" + inbox.consumer +
                 "': see `txm messages list --inbox --consumer '" + inbox.consumer + "'" + decide);
    }
}

}  // namespace txm::detail
