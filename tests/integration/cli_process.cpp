#include "integration/cli_process.hpp"

#include "support/loopback.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace txm::cli_test {

namespace {

using Clock = std::chrono::steady_clock;

std::string program() {
    const char* folder = std::getenv("TXM_BIN_DIR");
    if (!folder)
        throw std::runtime_error("TXM_BIN_DIR does not say where the program is");
    return std::string(folder) + "/txm";
}

std::vector<std::string> environment_of(const Start& start) {
    std::vector<std::string> entries;
    for (char** entry = environ; *entry; ++entry)
        if (const std::string_view text = *entry; !text.starts_with("TXM_") && !text.starts_with("AWS_"))
            entries.emplace_back(*entry);
    for (const auto& [name, value] : start.environment)
        entries.push_back(name + "=" + value);
    return entries;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (std::string& text : texts)
        result.push_back(text.data());
    result.push_back(nullptr);
    return result;
}

}  // namespace

Scratch::Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "txm-cli-XXXXXX").string();
    if (!::mkdtemp(pattern.data()))
        throw std::runtime_error("no scratch folder");
    folder_ = pattern;
}

Scratch::~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

std::string Scratch::write(const std::string& name, const std::string& content) const {
    std::ofstream{path(name), std::ios::binary} << content;
    return path(name);
}

std::string read_file(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

bool eventually(const std::function<bool()>& condition) {
    const auto deadline = Clock::now() + std::chrono::minutes{1};
    while (!condition()) {
        if (Clock::now() > deadline)
            return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    return true;
}

Program::Program(const Scratch& scratch, Start start) {
    static int number = 0;
    const std::string name = std::to_string(++number);
    out_ = scratch.path(name + ".out");
    err_ = scratch.path(name + ".err");
    const std::string in = scratch.write(name + ".in", start.input), folder = scratch.path("");
    std::vector<std::string> arguments = start.arguments, entries = environment_of(start);
    arguments.insert(arguments.begin(), start.program.empty() ? program() : start.program);
    const std::vector<char*> argument_pointers = pointers(arguments), entry_pointers = pointers(entries);

    pid_ = ::fork();
    if (pid_ != 0)
        return;
    const int input = start.stdin_fd >= 0 ? start.stdin_fd : ::open(in.c_str(), O_RDONLY);
    const int output =
        start.stdout_fd >= 0 ? start.stdout_fd : ::open(out_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int errors = ::open(err_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(input, 0);
    ::dup2(output, 1);
    ::dup2(errors, 2);
    for (int descriptor = 3; descriptor < 256; ++descriptor)
        ::close(descriptor);
    if (::chdir(folder.c_str()) == 0)
        ::execve(argument_pointers.front(), argument_pointers.data(), entry_pointers.data());
    ::_exit(126);
}

Program::~Program() {
    if (is_running()) {
        ::kill(pid_, SIGKILL);
        wait();
    }
}

void Program::signal(int number) const {
    ::kill(pid_, number);
}

bool Program::insist(int number) {
    return eventually([&] {
        signal(number);
        return !is_running();
    });
}

bool Program::is_running() {
    if (code_ >= 0)
        return false;
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_)
        return true;
    code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return false;
}

int Program::wait() {
    if (!eventually([this] { return !is_running(); })) {
        ADD_FAILURE() << "the program does not end: " << err();
        ::kill(pid_, SIGKILL);
        eventually([this] { return !is_running(); });
    }
    return code_;
}

Result run(const Scratch& scratch, Start start) {
    Program running{scratch, std::move(start)};
    Result result;
    result.code = running.wait();
    result.out = running.out();
    result.err = running.err();
    return result;
}

Result run(const Scratch& scratch, std::vector<std::string> arguments, std::string input) {
    Start start{.arguments = std::move(arguments), .input = std::move(input)};
    return run(scratch, std::move(start));
}

WriteLock::WriteLock(const std::string& database) {
    if (sqlite3_open_v2(database.c_str(), &db_, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK ||
        sqlite3_exec(db_, "begin immediate", nullptr, nullptr, nullptr) != SQLITE_OK)
        throw std::runtime_error("cannot lock " + database);
}

WriteLock::~WriteLock() {
    sqlite3_close(db_);
}

std::string http_get(int port, const std::string& path) {
    const int connection = test::connect_to(port);
    std::string answer;
    if (connection >= 0) {
        const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        if (::write(connection, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
            char buffer[4096];
            for (ssize_t n = 0; (n = ::read(connection, buffer, sizeof buffer)) > 0;)
                answer.append(buffer, static_cast<std::size_t>(n));
        }
        ::close(connection);
    }
    return answer;
}

std::size_t count_lines(const std::string& text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::vector<std::string> query(const std::string& database, const std::string& sql) {
    sqlite3* db = nullptr;
    if (sqlite3_open_v2(database.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK)
        throw std::runtime_error("cannot open " + database);
    sqlite3_busy_timeout(db, 60'000);
    std::vector<std::string> rows;
    const auto collect = [](void* to, int columns, char** values, char**) {
        std::string row;
        for (int i = 0; i < columns; ++i)
            row += (i ? "|" : "") + std::string(values[i] ? values[i] : "");
        static_cast<std::vector<std::string>*>(to)->push_back(row);
        return 0;
    };
    char* problem = nullptr;
    sqlite3_exec(db, sql.c_str(), collect, &rows, &problem);
    sqlite3_close(db);
    if (problem)
        throw std::runtime_error(problem);
    return rows;
}

std::string query_one(const std::string& database, const std::string& sql) {
    const auto rows = query(database, sql);
    return rows.empty() ? "" : rows.front();
}

}  // namespace txm::cli_test
