#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <sys/types.h>

struct sqlite3;

namespace txm::cli_test {

/// A folder of its own for a test, removed at its end.
class Scratch {
public:
    Scratch();
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    std::string path(const std::string& name) const { return (folder_ / name).string(); }
    std::string write(const std::string& name, const std::string& content) const;

private:
    std::filesystem::path folder_;
};

std::string read_file(const std::string& path);

/// Waits until `condition` holds, looking every few milliseconds. @returns false when a minute passed
bool eventually(const std::function<bool()>& condition);

/// What the program is started with. Its folder is the test's scratch folder.
struct Start {
    std::vector<std::string> arguments;
    std::string input{};                               ///< for its stdin
    std::map<std::string, std::string> environment{};  ///< besides the test's own, without TXM_ and AWS_ variables
    int stdout_fd = -1;                                ///< where its stdout goes; -1: collected
    int stdin_fd = -1;                                 ///< instead of `input`
    std::string program{};                             ///< instead of the built one
};

/// The built program, running.
class Program {
public:
    Program(const Scratch& scratch, Start start);
    ~Program();
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    void signal(int number) const;
    bool is_running();
    /// Sends it signals until it ends: those that come at once are one. @returns false when it does not
    bool insist(int number);
    pid_t pid() const noexcept { return pid_; }
    /// Waits for its end. @returns exit code, or 128 + the signal that killed it
    int wait();

    std::string out() const { return read_file(out_); }
    std::string err() const { return read_file(err_); }

private:
    pid_t pid_ = -1;
    int code_ = -1;
    std::string out_, err_;
};

struct Result {
    int code = -1;
    std::string out, err;
};

Result run(const Scratch& scratch, Start start);
Result run(const Scratch& scratch, std::vector<std::string> arguments, std::string input = {});

/// Another program that holds the write lock of a database, as long as it lives.
class WriteLock {
public:
    explicit WriteLock(const std::string& database);
    ~WriteLock();
    WriteLock(const WriteLock&) = delete;
    WriteLock& operator=(const WriteLock&) = delete;

private:
    sqlite3* db_ = nullptr;
};

/// The whole answer of an HTTP server of this machine.
std::string http_get(int port, const std::string& path);

/// Lines of a text.
std::size_t count_lines(const std::string& text);

/// The rows of a query, columns separated by `|`, through SQLite itself.
std::vector<std::string> query(const std::string& database, const std::string& sql);
std::string query_one(const std::string& database, const std::string& sql);

}  // namespace txm::cli_test
