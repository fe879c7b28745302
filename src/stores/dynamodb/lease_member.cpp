#include "stores/dynamodb/lease_member.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>

#include <unistd.h>

namespace txm::dynamodb::detail {
namespace {

/// The members of this process that live.
struct Living {
    std::mutex mutex;
    std::uint64_t last = 0;
    std::set<std::uint64_t> numbers;
};

Living& living() {
    static Living members;
    return members;
}

std::string first_line(const char* path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// Containers of one machine share its boot, but a process id means something in one namespace only.
std::string pid_namespace() {
    char text[64] = {};
    const ssize_t size = ::readlink("/proc/self/ns/pid", text, sizeof text - 1);
    return size > 0 ? std::string(text, static_cast<std::size_t>(size)) : std::string("unknown");
}

// In clock ticks since the machine booted: tells a process from a later one that got its id. Empty: there is no such process,
// or only what is left of one that nobody has waited for. None: a process of that id is hidden from this one.
std::optional<std::string> start_time(const std::string& pid) {
    const std::string stat = first_line(("/proc/" + pid + "/stat").c_str());
    // The name, in brackets, may contain anything.
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos) {
        pid_t number = 0;
        std::from_chars(pid.data(), pid.data() + pid.size(), number);
        const bool is_none = number > 0 && ::kill(number, 0) != 0 && errno == ESRCH;
        return is_none ? std::optional<std::string>{""} : std::nullopt;
    }
    std::istringstream fields(stat.substr(name_end + 1));
    std::string field;
    constexpr int state = 3, start = 22;
    for (int number = state; number <= start; ++number) {
        fields >> field;
        if (number == state && (field == "Z" || field == "X"))
            return "";
    }
    return field;
}

std::string place() {
    const std::string boot = first_line("/proc/sys/kernel/random/boot_id");
    return (boot.empty() ? "unknown" : boot) + ' ' + pid_namespace();
}

}  // namespace

LeaseMember::LeaseMember() {
    {
        const std::lock_guard lock{living().mutex};
        number_ = ++living().last;
        living().numbers.insert(number_);
    }
    char host[256] = {};
    ::gethostname(host, sizeof host - 1);
    const std::string pid = std::to_string(::getpid());
    text_ = std::string(host) + " process " + pid + " (" + place() + ' ' + start_time(pid).value_or("unknown") + ' ' +
            std::to_string(number_) + ')';
}

LeaseMember::~LeaseMember() {
    const std::lock_guard lock{living().mutex};
    living().numbers.erase(number_);
}

bool is_gone(std::string_view member) {
    const auto open = member.rfind(" (");
    const auto before_pid = member.substr(0, open).rfind(' ');
    if (open == std::string_view::npos || before_pid == std::string_view::npos || !member.ends_with(')'))
        return false;
    const std::string pid{member.substr(before_pid + 1, open - before_pid - 1)};
    std::istringstream text{std::string(member.substr(open + 2, member.size() - open - 3))};
    std::string boot, space, start, number;
    if (!(text >> boot >> space >> start >> number))
        return false;
    const std::string here = place();
    if (boot + ' ' + space != here || here.find("unknown") != std::string::npos || start == "unknown")
        return false;
    const std::optional<std::string> started = start_time(pid);
    if (!started)
        return false;
    if (*started != start)
        return true;
    if (pid != std::to_string(::getpid()))
        return false;
    std::uint64_t value = 0;
    std::from_chars(number.data(), number.data() + number.size(), value);
    const std::lock_guard lock{living().mutex};
    return !living().numbers.contains(value);
}

}  // namespace txm::dynamodb::detail
