#pragma once

#include <sys/types.h>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace txm::fault_test {

/// How a process ended.
struct Exit {
    bool killed = false;  ///< by SIGKILL
    int code = 0;         ///< exit code; 128 + signal for another signal
};

/// A child process. Killed, and waited for, when it goes.
class Process {
public:
    /// Its standard error goes to the end of `log`; so does its standard output, unless `out` names another file.
    Process(std::vector<std::string> command, std::map<std::string, std::string> environment, std::string log,
            std::string out = {});
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process();

    void signal(int number) const;
    std::optional<Exit> poll();  ///< empty while it runs
    Exit wait();
    std::optional<Exit> wait_for(std::chrono::milliseconds limit);
    pid_t pid() const noexcept { return pid_; }

private:
    pid_t pid_ = -1;
    std::optional<Exit> exit_;
};

}  // namespace txm::fault_test
