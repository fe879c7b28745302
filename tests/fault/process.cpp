#include "fault/process.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <stdexcept>
#include <thread>

namespace txm::fault_test {

Process::Process(std::vector<std::string> command, std::map<std::string, std::string> environment, std::string log,
                 std::string out) {
    std::vector<std::string> variables;
    for (char** variable = environ; *variable; ++variable) {
        const std::string text = *variable;
        if (!environment.contains(text.substr(0, text.find('='))))
            variables.push_back(text);
    }
    for (const auto& [name, value] : environment)
        variables.push_back(name + "=" + value);
    std::vector<char*> arguments, values;
    for (auto& word : command)
        arguments.push_back(word.data());
    for (auto& variable : variables)
        values.push_back(variable.data());
    arguments.push_back(nullptr);
    values.push_back(nullptr);

    pid_ = ::fork();
    if (pid_ < 0)
        throw std::runtime_error("fork failed");
    if (pid_ == 0) {  // only async-signal-safe calls from here
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        const int out_fd = out.empty() ? fd : ::open(out.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        ::dup2(null, 0);
        ::dup2(out_fd, 1);
        ::dup2(fd, 2);
        ::execve(arguments[0], arguments.data(), values.data());
        ::_exit(127);
    }
}

Process::~Process() {
    if (!exit_) {
        signal(SIGCONT);
        signal(SIGKILL);
        wait();
    }
}

void Process::signal(int number) const {
    if (!exit_)
        ::kill(pid_, number);
}

std::optional<Exit> Process::poll() {
    int status = 0;
    if (!exit_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
        exit_.emplace();
        if (WIFSIGNALED(status)) {
            exit_->killed = WTERMSIG(status) == SIGKILL;
            exit_->code = 128 + WTERMSIG(status);
        } else {
            exit_->code = WEXITSTATUS(status);
        }
    }
    return exit_;
}

Exit Process::wait() {
    while (!poll())
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return *exit_;
}

std::optional<Exit> Process::wait_for(std::chrono::milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!poll() && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return exit_;
}

}  // namespace txm::fault_test
