#pragma once

#include <sys/types.h>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace txm::bench {

using Seconds = std::chrono::duration<double>;

/// Median, and the smallest and largest, of some rounds.
struct Spread {
    double median = 0, low = 0, high = 0;
};

Spread spread(std::vector<double> values);
double percentile(std::vector<double> values, double share);

/// Wall-clock seconds of `work`.
double seconds(const std::function<void()>& work);

/// Seconds that it takes to append 4 kB to a file and fdatasync it.
double fdatasync_seconds(const std::string& directory);

/// Waits until the disk has the file, so that what was prepared does not slow down what is measured.
void flush(const std::string& path);

/// TXM_BENCH_QUICK=1: a look at a tenth of the work, whose figures are not worth keeping.
bool is_quick();
std::int64_t scaled(std::int64_t full);

/// Runs a command to its end; what it took.
struct Usage {
    int exit_code = 0;
    double wall = 0, cpu = 0;
    double resident_mib = 0;  ///< the most it ever had
};
Usage run(const std::vector<std::string>& command, const std::string& log);
/// The same in two steps. What is started dies with this program.
pid_t start(const std::vector<std::string>& command, const std::string& log);
Usage wait_for(pid_t child);

/// A row of the result table.
void report(const std::string& what, const std::string& measured, const std::string& required, bool met);
std::string number(double value, int digits = 0);
std::string ratio(const Spread& spread);

/// False once report() was told of a miss.
bool all_met();

}  // namespace txm::bench
