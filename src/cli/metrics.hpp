#pragma once

#include "cli/broker.hpp"
#include "txm/admin.hpp"
#include "txm/consumer.hpp"
#include "txm/relay.hpp"

#include <string>
#include <vector>

#include <prometheus/metric_family.h>

namespace txm::cli {

using Metrics = std::vector<prometheus::MetricFamily>;

void add_metrics(Metrics& metrics, const RelayStatistics& statistics);
void add_metrics(Metrics& metrics, const ConsumerStatistics& statistics, const std::string& consumer);
void add_metrics(Metrics& metrics, const StoreStatus& status);
void add_metrics(Metrics& metrics, const std::vector<ConsumerLag>& lags);
void add_gauge(Metrics& metrics, const char* name, const char* help, double value);

/// The text format of Prometheus.
std::string serialized(const Metrics& metrics);

}  // namespace txm::cli
