#include "measure.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <stdexcept>

namespace txm::bench {

namespace {
bool every_row_met = true;
}

double percentile(std::vector<double> values, double share) {
    const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + at, values.end());
    return values[static_cast<std::size_t>(at)];
}

Spread spread(std::vector<double> values) {
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    const double smallest = *low, largest = *high;
    return {percentile(std::move(values), 0.5), smallest, largest};
}

double seconds(const std::function<void()>& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return Seconds(std::chrono::steady_clock::now() - begin).count();
}

double fdatasync_seconds(const std::string& directory) {
    const std::string path = directory + "/fdatasync";
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    const std::string block(4096, 'x');
    const double time = seconds([&] {
        if (::write(fd, block.data(), block.size()) != 4096 || ::fdatasync(fd) != 0)
            throw std::runtime_error("cannot write " + path);
    });
    ::close(fd);
    return time;
}

void flush(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ::fsync(fd) != 0)
        throw std::runtime_error("cannot flush " + path);
    ::close(fd);
}

bool is_quick() {
    return std::getenv("TXM_BENCH_QUICK") != nullptr;
}

std::int64_t scaled(std::int64_t full) {
    return is_quick() ? full / 10 : full;
}

pid_t start(const std::vector<std::string>& command, const std::string& log) {
    std::vector<std::string> words = command;
    std::vector<char*> arguments;
    for (auto& word : words)
        arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
        ::dup2(fd, 1);
        ::dup2(fd, 2);
        ::execv(arguments[0], arguments.data());
        ::_exit(127);
    }
    return child;
}

Usage wait_for(pid_t child) {
    int status = 0;
    rusage used{};
    ::wait4(child, &status, 0, &used);
    const auto time = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    Usage usage;
    usage.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    usage.cpu = time(used.ru_utime) + time(used.ru_stime);
    usage.resident_mib = static_cast<double>(used.ru_maxrss) / 1024;
    return usage;
}

Usage run(const std::vector<std::string>& command, const std::string& log) {
    const auto begin = std::chrono::steady_clock::now();
    Usage usage = wait_for(start(command, log));
    usage.wall = Seconds(std::chrono::steady_clock::now() - begin).count();
    return usage;
}

void report(const std::string& what, const std::string& measured, const std::string& required, bool met) {
    every_row_met = every_row_met && met;
    std::printf("%-58s %-34s %-26s %s\n", what.c_str(), measured.c_str(), required.c_str(), met ? "met" : "MISSED");
    std::fflush(stdout);
}

std::string number(double value, int digits) {
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

std::string ratio(const Spread& s) {
    return number(s.median, 2) + " (" + number(s.low, 2) + " to " + number(s.high, 2) + ")";
}

bool all_met() {
    return every_row_met;
}

}  // namespace txm::bench
