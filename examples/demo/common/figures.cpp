#include "common/figures.hpp"

#include <txm/sync_wait.hpp>
#include <txm/timestamp.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

namespace demo {

namespace {

std::int64_t count(txm::sqlite::Session& session, const std::string& sql) {
    const auto rows = txm::sync_wait(session.read(sql));
    return std::get<std::int64_t>(rows.at(0).at(0));
}

/// The smallest value that at least `share` of the sorted values do not exceed.
std::int64_t percentile(const std::vector<std::int64_t>& sorted, double share) {
    if (sorted.empty())
        return 0;
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

}  // namespace

void print_figures(txm::sqlite::Database& db) {
    const std::string times_sql = "select stored_at, created_at from inbox where state = 0 and stored_at is not null";
    txm::sqlite::Session session{db};
    std::vector<std::int64_t> latencies;
    txm::Timestamp last{};
    for (const auto& row : txm::sync_wait(session.read(times_sql))) {
        const auto stored = txm::parse_iso8601(std::get<std::string>(row.at(0)));
        const auto applied = txm::parse_iso8601(std::get<std::string>(row.at(1)));
        latencies.push_back((applied - stored).count());
        last = std::max(last, applied);
    }
    std::sort(latencies.begin(), latencies.end());

    std::int64_t span = 0;
    const auto first = txm::sync_wait(session.read("select stored_at from outbox order by sequence limit 1"));
    if (!first.empty() && !latencies.empty())
        span = (last - txm::parse_iso8601(std::get<std::string>(first.at(0).at(0)))).count();

    std::cout << "published " << count(session, "select count(*) from outbox") << '\n'
              << "undispatched " << count(session, "select count(*) from outbox where state <> 1") << '\n'
              << "applied " << count(session, "select count(*) from inbox where state = 0") << '\n'
              << "p50_us " << percentile(latencies, 0.50) << '\n'
              << "p99_us " << percentile(latencies, 0.99) << '\n'
              << "span_us " << span << '\n';
}

}  // namespace demo
