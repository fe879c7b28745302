#include "cli/commands.hpp"

#include "cli/output.hpp"
#include "cli/registry.hpp"

#include "txm/sync_wait.hpp"

#include <boost/json.hpp>

#include <optional>

namespace txm::cli {

namespace {

namespace json = boost::json;

json::value seconds(const std::optional<std::chrono::seconds>& age) {
    return age ? json::value(age->count()) : json::value(nullptr);
}

void print_json(const StoreStatus& status, const std::vector<ConsumerLag>& lags) {
    json::array leases, inboxes, consumers;
    for (const LeaseStatus& lease : status.leases)
        leases.push_back(
            {{"name", lease.name}, {"member", lease.member}, {"fence", lease.fence}, {"held", lease.is_held}});
    for (const InboxStatus& inbox : status.inboxes)
        inboxes.push_back(
            {{"consumer", inbox.consumer},
             {"processed", inbox.processed},
             {"dead", inbox.dead},
             {"skipped", inbox.skipped},
             {"parked", inbox.parked},
             {"lanes_blocked", inbox.lanes_blocked},
             {"purged_to", inbox.purged_to ? json::value(to_iso8601(*inbox.purged_to)) : json::value(nullptr)}});
    for (const ConsumerLag& lag : lags)
        consumers.push_back({{"topic", lag.topic},
                             {"consumer", lag.consumer},
                             {"lag", lag.lag},
                             {"oldest_age", seconds(lag.oldest_age)}});
    const json::object result{
        {"healthy", status.warnings.empty()},
        {"problems", json::value_from(status.warnings)},
        {"schema_version", status.schema_version},
        {"outbox",
         {{"pending", status.pending},
          {"parked", status.parked},
          {"dead", status.dead},
          {"lanes_blocked", status.lanes_blocked},
          {"lanes_held", status.lanes_held},
          {"oldest_pending_age", seconds(status.oldest_pending_age)}}},
        {"leases", std::move(leases)},
        {"inboxes", std::move(inboxes)},
        {"consumers", std::move(consumers)},
    };
    write_result(json::serialize(result) + "\n");
}

std::string age_text(const std::optional<std::chrono::seconds>& age) {
    return age ? short_duration(age->count()) : "-";
}

void print_tables(const StoreStatus& status, const std::vector<ConsumerLag>& lags) {
    Table outbox{">PENDING", ">PARKED", ">DEAD", ">AGGREGATES BLOCKED", ">HELD", ">OLDEST"};
    outbox.add({std::to_string(status.pending), std::to_string(status.parked), std::to_string(status.dead),
                std::to_string(status.lanes_blocked), std::to_string(status.lanes_held),
                age_text(status.oldest_pending_age)});
    outbox.finish();

    if (!status.inboxes.empty()) {
        write_result("\n");
        Table inboxes{"CONSUMER", ">PROCESSED",          ">DEAD",         ">SKIPPED",
                      ">PARKED",  ">AGGREGATES BLOCKED", "REMEMBERS FROM"};
        for (const InboxStatus& inbox : status.inboxes)
            inboxes.add({shortened(inbox.consumer, 40), std::to_string(inbox.processed), std::to_string(inbox.dead),
                         std::to_string(inbox.skipped), std::to_string(inbox.parked),
                         std::to_string(inbox.lanes_blocked),
                         inbox.purged_to ? to_iso8601(*inbox.purged_to) : "the start"});
        inboxes.finish();
    }
    if (!status.leases.empty()) {
        write_result("\n");
        Table leases{"LEASE", "HELD BY", ">FENCE"};
        for (const LeaseStatus& lease : status.leases)
            leases.add({shortened(lease.name, 60), lease.is_held ? shortened(lease.member, 60) : "nobody",
                        std::to_string(lease.fence)});
        leases.finish();
    }
    if (!lags.empty()) {
        write_result("\n");
        Table consumers{"TOPIC", "CONSUMER", ">BEHIND", ">OLDEST"};
        for (const ConsumerLag& lag : lags)
            consumers.add({shortened(lag.topic, 60), shortened(lag.consumer, 40), std::to_string(lag.lag),
                           age_text(lag.oldest_age)});
        consumers.finish();
    }
    write_result(status.warnings.empty() ? "\nhealthy\n" : "\nunhealthy:\n");
    for (const std::string& problem : status.warnings)
        write_result("  " + problem + "\n");
}

}  // namespace

int run_status(const Configuration& configuration) {
    const auto store = open_store(configuration);
    const StoreStatus status = sync_wait(store->admin()->status());
    std::vector<ConsumerLag> lags;
    if (configuration.find("broker"))
        lags = open_broker(configuration)->lags();
    if (configuration.json())
        print_json(status, lags);
    else
        print_tables(status, lags);
    return status.warnings.empty() ? 0 : 1;
}

}  // namespace txm::cli
