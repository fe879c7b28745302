#pragma once

#include <chrono>
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

/// Median seconds of writing 4 kB to a file and fdatasync, `rounds` times.
double fdatasync_seconds(const std::string& directory, int rounds = 400);

/// Runs a command to its end; what it took.
struct Usage {
    int exit_code = 0;
    double wall = 0, cpu = 0;
    double resident_mib = 0;  ///< the most it ever had
};
Usage run(const std::vector<std::string>& command, const std::string& log);

/// A row of the result table.
void report(const std::string& what, const std::string& measured, const std::string& required, bool met);
std::string number(double value, int digits = 0);
std::string ratio(const Spread& spread);

/// False once report() was told of a miss.
bool all_met();

}  // namespace txm::bench
