#include "relay.hpp"

#include "measure.hpp"
#include "raw.hpp"

#include "txm/local.hpp"
#include "txm/sqlite.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <sqlite3.h>
#include <stdexcept>
#include <vector>

namespace txm::bench {
namespace {

constexpr int aggregates = 1'000;

/// An outbox with a backlog, made once and copied for each round.
std::string backlog(const std::string& directory, std::int64_t count, int blocked_lanes = 0) {
    const std::string path = directory + "/backlog-" + std::to_string(count) + "-" + std::to_string(blocked_lanes);
    if (std::filesystem::exists(path))
        return path;
    Raw{path}.execute(sqlite::outbox_schema().c_str());
    if (blocked_lanes > 0) {
        Raw db{path};
        const std::string lanes = std::to_string(blocked_lanes);
        const std::string numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < " + lanes + ") ";
        db.execute("begin immediate");
        db.execute((numbers + "insert into outbox (topic, aggregate_id, payload, state) select 'orders', 'blocked-' || i, '{}', 2 from n")
                       .c_str());
        db.execute("insert into txm_lane (outbox, aggregate_id, from_sequence, attempts, next_attempt_at, reason)"
                   " select 'outbox', aggregate_id, sequence, 3, '2999-01-01T00:00:00+00:00', 'refused' from outbox");
        db.execute("commit");
    }
    fill(path, count, aggregates);
    return path;
}

struct Files {
    std::string outbox, broker;
};

Files fresh(const std::string& directory, const std::string& source) {
    Files files{directory + "/relay.db", directory + "/broker.db"};
    for (const auto& file : {files.outbox, files.broker})
        for (const char* suffix : {"", "-wal", "-shm", "-txm-wake", "-txm-lock"})
            std::filesystem::remove(file + suffix);
    std::filesystem::copy_file(source, files.outbox);
    local::Publisher create{files.broker};
    return files;
}

/// Reads, batched inserts into the broker's table and marks, one after the other, in raw SQLite.
double raw_round(const Files& files, std::int64_t count) {
    Raw reads{files.outbox}, broker{files.broker}, marks{files.outbox};
    sqlite3_stmt* read = reads.prepare(
        "select sequence, message_id, topic, type, aggregate_id, correlation_id, payload, headers, created_at, stored_at, replays"
        " from outbox where state = 0 and sequence > ? order by sequence limit 512");
    sqlite3_stmt* insert = broker.prepare(
        "insert or ignore into message (dedup_id, message_id, topic, type, aggregate_id, correlation_id, payload, headers, created_at,"
        " stored_at, sequence, partition) values (?1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)");
    sqlite3_stmt* mark = marks.prepare(
        "update outbox set state = 1, approximate_dispatch_count = approximate_dispatch_count + 1, last_dispatched_at = ?"
        " where sequence = ?");
    return seconds([&] {
        std::int64_t cursor = 0, done = 0;
        std::vector<std::int64_t> batch;
        while (done < count) {
            batch.clear();
            broker.execute("begin immediate");
            bind(read, 1, cursor);
            while (sqlite3_step(read) == SQLITE_ROW) {
                cursor = sqlite3_column_int64(read, 0);
                batch.push_back(cursor);
                for (int column = 1; column <= 9; ++column)
                    sqlite3_bind_value(insert, column, sqlite3_column_value(read, column));
                bind(insert, 10, cursor);
                bind(insert, 11, cursor % 16);
                run(insert);
            }
            sqlite3_reset(read);
            broker.execute("commit");
            if (batch.empty())
                throw std::runtime_error("the backlog is shorter than it should be");
            const std::string time = to_iso8601(now());
            marks.execute("begin immediate");
            for (const std::int64_t sequence : batch) {
                bind(mark, 1, time);
                bind(mark, 2, sequence);
                run(mark);
            }
            marks.execute("commit");
            done += static_cast<std::int64_t>(batch.size());
        }
    });
}

Usage relay_round(const std::string& directory, const Files& files, const std::string& txm, bool drain_ends = true) {
    const Usage usage = run({txm, "relay", "--drain", "--store", "sqlite:" + files.outbox, "--broker", "local:" + files.broker},
                            directory + "/relay.log");
    if (drain_ends && usage.exit_code != 0)
        throw std::runtime_error("txm relay failed; see " + directory + "/relay.log");
    return usage;
}

}  // namespace

void measure_relay(const std::string& directory, const std::string& txm) {
    const std::int64_t count = 1'000'000;
    const int rounds = 5;
    const std::string source = backlog(directory, count);
    const double start_up = relay_round(directory, fresh(directory, backlog(directory, 1)), txm).wall;
    std::vector<double> ratios, rates, raw_rates;
    for (int i = 0; i < rounds; ++i) {
        const double raw = raw_round(fresh(directory, source), count);
        const double mine = relay_round(directory, fresh(directory, source), txm).wall - start_up;
        ratios.push_back(raw / mine);
        rates.push_back(static_cast<double>(count) / mine);
        raw_rates.push_back(static_cast<double>(count) / raw);
        std::cerr << "relay: round " << i + 1 << " of " << rounds << ": " << number(rates.back()) << " msg/s, raw "
                  << number(raw_rates.back()) << " msg/s\n";
    }
    const Spread ratio_spread = spread(ratios), rate = spread(rates);
    report("relay, SQLite -> local:, backlog of 1,000,000",
           number(rate.median) + " msg/s, " + ratio(ratio_spread) + " x raw", ">= 60,000 msg/s or 0.8 x", rate.median >= 60'000 || ratio_spread.median >= 0.8);
    std::cout << "    raw reads + batched inserts + marks: " << number(spread(raw_rates).median) << " msg/s; start-up "
              << number(start_up * 1000) << " ms taken off\n";
}

void measure_scaling(const std::string& directory, const std::string& txm) {
    struct Case {
        std::int64_t count;
        int blocked;
    };
    const Case cases[] = {{10'000, 0}, {100'000, 0}, {1'000'000, 0}, {1'000'000, 100'000}};
    const int rounds = 3;
    const double idle = relay_round(directory, fresh(directory, backlog(directory, 1)), txm).cpu;
    double base = 0, resident = 0;
    for (const auto& [count, blocked] : cases) {
        std::vector<double> costs;
        // A short run is repeated, so that each case is measured over about the same number of messages.
        const auto repeats = static_cast<int>(std::max<std::int64_t>(1, 100'000 / count));
        for (int round = 0; round < rounds; ++round) {
            double cpu = 0;
            for (int i = 0; i < repeats; ++i) {
                const Usage usage = relay_round(directory, fresh(directory, backlog(directory, count, blocked)), txm, blocked == 0);
                cpu += usage.cpu - idle;
                resident = std::max(resident, usage.resident_mib);
            }
            costs.push_back(cpu / static_cast<double>(count * repeats) * 1e6);
        }
        const Spread cost = spread(costs);
        if (base == 0)
            base = cost.median;
        const bool last_two = count == 1'000'000;
        report("relay, cost of a message, backlog " + std::to_string(count) + (blocked ? ", 100,000 lanes blocked" : ""),
               number(cost.median, 2) + " us CPU (" + number(cost.low, 2) + " to " + number(cost.high, 2) + ")",
               last_two ? "<= 1.1 x the first" : "", !last_two || cost.median <= 1.1 * base);
    }
    report("relay, resident memory, the largest of these", number(resident, 1) + " MiB", "<= 30 MB", resident <= 30e6 / 1048576);
}

}  // namespace txm::bench
