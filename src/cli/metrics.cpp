#include "cli/metrics.hpp"

#include <sstream>
#include <utility>

#include <prometheus/text_serializer.h>

namespace txm::cli {

namespace {

using Labels = std::vector<std::pair<const char*, std::string>>;

prometheus::MetricFamily& family(Metrics& metrics, const char* name, const char* help, prometheus::MetricType type) {
    prometheus::MetricFamily& added = metrics.emplace_back();
    added.name = name;
    added.help = help;
    added.type = type;
    return added;
}

void add_value(prometheus::MetricFamily& family, double value, const Labels& labels = {}) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    for (const auto& [name, text] : labels)
        metric.label.push_back({name, text});
    if (family.type == prometheus::MetricType::Counter)
        metric.counter.value = value;
    else
        metric.gauge.value = value;
}

void add_counter(Metrics& metrics, const char* name, const char* help, std::uint64_t value, const Labels& labels = {}) {
    add_value(family(metrics, name, help, prometheus::MetricType::Counter), static_cast<double>(value), labels);
}

void add_number(Metrics& metrics, const char* name, const char* help, std::uint64_t value, const Labels& labels = {}) {
    add_value(family(metrics, name, help, prometheus::MetricType::Gauge), static_cast<double>(value), labels);
}

}  // namespace

void add_gauge(Metrics& metrics, const char* name, const char* help, double value) {
    add_value(family(metrics, name, help, prometheus::MetricType::Gauge), value);
}

void add_metrics(Metrics& metrics, const RelayStatistics& s) {
    add_counter(metrics, "txm_relay_read_total", "Messages read from the outbox", s.read);
    add_counter(metrics, "txm_relay_dispatched_total", "Messages that the broker acknowledged", s.dispatched);
    add_counter(metrics, "txm_relay_refused_total", "Refusals by the broker", s.refused);
    add_counter(metrics, "txm_relay_resent_total", "Sends after an unknown outcome", s.resent);
    add_counter(metrics, "txm_relay_parked_total", "Times that an aggregate was parked", s.parked);
    add_counter(metrics, "txm_relay_dead_letters_total", "Messages that became dead letters", s.dead);
    add_counter(metrics, "txm_relay_lease_losses_total", "Times that the lease was lost", s.lease_losses);
    add_counter(metrics, "txm_relay_outages_total", "Times that a destination became unreachable", s.outages);
    add_number(metrics, "txm_relay_in_flight", "Messages in memory", s.in_flight);
    add_number(metrics, "txm_relay_active", "1 while this relay has the lease", s.is_active ? 1 : 0);
}

void add_metrics(Metrics& metrics, const ConsumerStatistics& s, const std::string& consumer) {
    const Labels labels{{"consumer", consumer}};
    add_counter(metrics, "txm_consumer_received_total", "Deliveries received", s.received, labels);
    add_counter(metrics, "txm_consumer_processed_total", "Deliveries that took effect", s.processed, labels);
    add_counter(metrics, "txm_consumer_duplicates_total", "Deliveries that had taken effect before", s.duplicates,
                labels);
    add_counter(metrics, "txm_consumer_ignored_total", "Deliveries without a handler", s.ignored, labels);
    add_counter(metrics, "txm_consumer_failures_total", "Tries that failed", s.failed, labels);
    add_counter(metrics, "txm_consumer_parked_total", "Deliveries that were parked", s.parked, labels);
    add_counter(metrics, "txm_consumer_dead_letters_total", "Deliveries that became dead letters", s.dead, labels);
    add_counter(metrics, "txm_consumer_content_mismatches_total", "Known ids that came with another payload",
                s.content_mismatches, labels);
    add_number(metrics, "txm_consumer_in_flight", "Deliveries being handled", s.in_flight, labels);
}

void add_metrics(Metrics& metrics, const StoreStatus& status) {
    add_number(metrics, "txm_outbox_pending", "Messages waiting for the relay", status.pending);
    add_number(metrics, "txm_outbox_parked", "Messages of blocked aggregates", status.parked);
    add_number(metrics, "txm_outbox_dead_letters", "Dead letters", status.dead);
    add_number(metrics, "txm_outbox_lanes_blocked", "Aggregates that are blocked", status.lanes_blocked);
    add_number(metrics, "txm_outbox_lanes_held", "Aggregates that wait for an operator", status.lanes_held);
    add_gauge(metrics, "txm_outbox_oldest_pending_age_seconds", "Age of the oldest message that is not dispatched",
              status.oldest_pending_age ? static_cast<double>(status.oldest_pending_age->count()) : 0.0);
    if (status.inboxes.empty())
        return;
    const auto each = [&](const char* name, const char* help, std::uint64_t InboxStatus::*field) {
        auto& added = family(metrics, name, help, prometheus::MetricType::Gauge);
        for (const InboxStatus& inbox : status.inboxes)
            add_value(added, static_cast<double>(inbox.*field), {{"consumer", inbox.consumer}});
    };
    each("txm_inbox_parked", "Deliveries of blocked aggregates", &InboxStatus::parked);
    each("txm_inbox_dead_letters", "Dead letters of a consumer", &InboxStatus::dead);
    each("txm_inbox_lanes_blocked", "Aggregates that are blocked for a consumer", &InboxStatus::lanes_blocked);
}

void add_metrics(Metrics& metrics, const std::vector<ConsumerLag>& lags) {
    if (lags.empty())
        return;
    auto& added =
        family(metrics, "txm_broker_lag", "Messages that a consumer has not settled", prometheus::MetricType::Gauge);
    for (const ConsumerLag& lag : lags)
        add_value(added, static_cast<double>(lag.lag), {{"topic", lag.topic}, {"consumer", lag.consumer}});
}

std::string serialized(const Metrics& metrics) {
    std::ostringstream out;
    prometheus::TextSerializer{}.Serialize(out, metrics);
    return out.str();
}

}  // namespace txm::cli
