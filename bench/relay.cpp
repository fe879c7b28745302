#include "relay.hpp"

#include "measure.hpp"
#include "raw.hpp"

#include "txm/local.hpp"
#include "txm/sqlite.hpp"
#include "txm/timestamp.hpp"

#include <sqlite3.h>
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string_view>
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
        const std::string numbers =
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < " + lanes + ") ";
        db.execute("begin immediate");
        db.execute((numbers + "insert into outbox (topic, aggregate_id, payload, state) select 'orders', 'blocked-' || "
                              "i, '{}', 2 from n")
                       .c_str());
        db.execute(
            "insert into txm_lane (outbox, aggregate_id, from_sequence, attempts, next_attempt_at, reason)"
            " select 'outbox', aggregate_id, sequence, 3, null, 'held' from outbox");
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
    flush(files.outbox);
    local::Publisher create{files.broker};
    return files;
}

// The broker's hash of an aggregate, which is part of what is written.
int partition_of(std::string_view aggregate_id) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : aggregate_id)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return static_cast<int>((hash ^ (hash >> 32)) % 16);
}

std::int64_t microseconds(std::string_view time) {
    return parse_iso8601(time).time_since_epoch().count();
}

std::string_view text(sqlite3_stmt* row, int column) {
    return {reinterpret_cast<const char*>(sqlite3_column_text(row, column)),
            static_cast<std::size_t>(sqlite3_column_bytes(row, column))};
}

// Of raw.hpp's kind, but copying: the statement outlives the row that the text is of.
void bind_copy(sqlite3_stmt* statement, int index, std::string_view value) {
    sqlite3_bind_text(statement, index, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
}

/// Reads, batched inserts into the broker's table and marks, one after the other, in raw SQLite: the columns, statements and
/// indexes of the relay, several rows an insert where that is quicker. `batch` messages a transaction.
double raw_round(const Files& files, std::int64_t count, int batch) {
    constexpr int columns = 14, rows = 16;
    Raw reads{files.outbox}, broker{files.broker}, marks{files.outbox};
    sqlite3_stmt* read = reads.prepare(
        "select sequence, message_id, topic, type, aggregate_id, correlation_id, payload, headers, created_at, "
        "stored_at, replays"
        " from outbox indexed by outbox_pending where state = 0 and sequence > ? order by sequence limit ?");
    const std::string into =
        "insert into message (topic, partition, dedup_id, aggregate_id, correlation_id, type, payload, headers,"
        " created_at, stored_at, sequence, epoch, replays, published_at) values ";
    const std::string row = "(?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    std::string several = into;
    for (int i = 0; i < rows; ++i)
        several += (i ? "," : "") + row;
    sqlite3_stmt* insert_one = broker.prepare((into + row + " on conflict (dedup_id) do nothing").c_str());
    sqlite3_stmt* insert_rows = broker.prepare((several + " on conflict (dedup_id) do nothing").c_str());
    sqlite3_stmt* mark = marks.prepare(
        "update outbox set state = 1, approximate_dispatch_count = approximate_dispatch_count + 1, last_dispatched_at "
        "= ?2"
        " where sequence = ?1 and state in (0, 2)");
    const auto bind_row = [&](sqlite3_stmt* insert, int first, std::int64_t published_at) {
        bind_copy(insert, first + 1, text(read, 2));
        bind(insert, first + 2, std::int64_t{partition_of(text(read, 4))});
        bind_copy(insert, first + 3, text(read, 1));
        bind_copy(insert, first + 4, text(read, 4));
        if (text(read, 5) == text(read, 1))
            sqlite3_bind_null(insert, first + 5);
        else
            bind_copy(insert, first + 5, text(read, 5));
        bind_copy(insert, first + 6, text(read, 3));
        bind_copy(insert, first + 7, text(read, 6));
        bind_copy(insert, first + 8, text(read, 7));
        bind(insert, first + 9, microseconds(text(read, 8)));
        bind(insert, first + 10, microseconds(text(read, 9)));
        bind(insert, first + 11, sqlite3_column_int64(read, 0));
        sqlite3_bind_null(insert, first + 12);
        bind(insert, first + 13, sqlite3_column_int64(read, 10));
        bind(insert, first + 14, published_at);
    };
    return seconds([&] {
        std::int64_t cursor = 0, done = 0;
        std::vector<std::int64_t> sequences;
        while (done < count) {
            sequences.clear();
            const std::int64_t published_at = now().time_since_epoch().count();
            const std::int64_t wanted = std::min<std::int64_t>(batch, count - done);
            const std::int64_t in_rows = wanted - wanted % rows;
            broker.execute("begin immediate");
            bind(read, 1, cursor);
            bind(read, 2, wanted);
            for (std::int64_t at = 0; sqlite3_step(read) == SQLITE_ROW; ++at) {
                cursor = sqlite3_column_int64(read, 0);
                sequences.push_back(cursor);
                if (at >= in_rows) {
                    bind_row(insert_one, 0, published_at);
                    run(insert_one);
                    continue;
                }
                bind_row(insert_rows, static_cast<int>(at % rows) * columns, published_at);
                if (at % rows == rows - 1)
                    run(insert_rows);
            }
            sqlite3_reset(read);
            broker.execute("commit");
            if (static_cast<std::int64_t>(sequences.size()) != wanted)
                throw std::runtime_error("the backlog is shorter than it should be");
            const std::string time = to_iso8601(now());
            marks.execute("begin immediate");
            for (const std::int64_t sequence : sequences) {
                bind(mark, 1, sequence);
                bind(mark, 2, time);
                run(mark);
            }
            marks.execute("commit");
            done += wanted;
        }
    });
}

Usage relay_round(const std::string& directory, const Files& files, const std::string& txm, bool is_clean = true) {
    const Usage usage =
        run({txm, "relay", "--drain", "--store", "sqlite:" + files.outbox, "--broker", "local:" + files.broker},
            directory + "/relay.log");
    if (usage.exit_code != (is_clean ? 0 : 1))  // 1: drained, but for what is held
        throw std::runtime_error("txm relay failed; see " + directory + "/relay.log");
    return usage;
}

}  // namespace

void measure_relay(const std::string& directory, const std::string& txm) {
    const std::int64_t count = scaled(1'000'000);
    const int rounds = is_quick() ? 3 : 5;
    const std::string source = backlog(directory, count);
    const double start_up = relay_round(directory, fresh(directory, backlog(directory, 1)), txm).wall;
    // Raw SQLite is given the batch that suits it best.
    int batch = 0;
    double quickest = 0;
    const std::int64_t some = count / 10;
    for (const int candidate : {512, 1024, 2048, 4096}) {
        const double time = raw_round(fresh(directory, backlog(directory, some)), some, candidate);
        if (batch == 0 || time < quickest) {
            batch = candidate;
            quickest = time;
        }
    }
    std::vector<double> ratios, rates, raw_rates;
    for (int i = 0; i < rounds; ++i) {
        const double raw = raw_round(fresh(directory, source), count, batch);
        const double mine = relay_round(directory, fresh(directory, source), txm).wall - start_up;
        ratios.push_back(raw / mine);
        rates.push_back(static_cast<double>(count) / mine);
        raw_rates.push_back(static_cast<double>(count) / raw);
        std::cerr << "relay: round " << i + 1 << " of " << rounds << ": " << number(rates.back()) << " msg/s, raw "
                  << number(raw_rates.back()) << " msg/s\n";
    }
    const Spread ratio_spread = spread(ratios), rate = spread(rates);
    report("relay, SQLite -> local:, backlog of " + std::to_string(count),
           number(rate.median) + " msg/s, " + ratio(ratio_spread) + " x raw", ">= 60,000 msg/s or 0.8 x",
           rate.median >= 60'000 || ratio_spread.median >= 0.8);
    std::cout << "    raw reads + batched inserts + marks, " << batch
              << " a transaction: " << number(spread(raw_rates).median) << " msg/s; start-up "
              << number(start_up * 1000) << " ms taken off\n";
}

void measure_scaling(const std::string& directory, const std::string& txm) {
    struct Case {
        std::int64_t count;
        int blocked;
    };
    const std::int64_t most = scaled(1'000'000);
    const Case cases[] = {{10'000, 0}, {most / 10, 0}, {most, 0}, {most, 100'000}};
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
                const Usage usage =
                    relay_round(directory, fresh(directory, backlog(directory, count, blocked)), txm, blocked == 0);
                cpu += usage.cpu - idle;
                resident = std::max(resident, usage.resident_mib);
            }
            costs.push_back(cpu / static_cast<double>(count * repeats) * 1e6);
        }
        const Spread cost = spread(costs);
        if (base == 0)
            base = cost.median;
        const bool last_two = count == most;
        report(
            "relay, cost of a message, backlog " + std::to_string(count) + (blocked ? ", 100,000 lanes blocked" : ""),
            number(cost.median, 2) + " us CPU (" + number(cost.low, 2) + " to " + number(cost.high, 2) + ")",
            last_two ? "<= 1.1 x the first" : "", !last_two || cost.median <= 1.1 * base);
    }
    report("relay, resident memory, the largest of these", number(resident, 1) + " MiB", "<= 30 MB",
           resident <= 30e6 / 1048576);
}

}  // namespace txm::bench
