#include "core/fault_point.hpp"

#if TXM_FAULT_POINTS

#include "txm/error.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <list>
#include <string>
#include <thread>
#include <vector>

namespace txm::fault {

namespace {

struct Action {
    std::string verb, name;
    unsigned long number = 1;
    std::atomic<unsigned long> passes{0};
};

std::vector<std::string_view> split(const char* list) {
    std::vector<std::string_view> parts;
    for (std::string_view rest = list ? list : ""; !rest.empty();) {
        const auto comma = std::min(rest.find(','), rest.size());
        parts.push_back(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return parts;
}

// What the environment asks for, read once: the process does not change its own TXM_ variables.
class Plan {
public:
    Plan() {
        for (const std::string_view part : split(std::getenv("TXM_FAULT"))) {
            const auto at = part.find('@'), colon = part.find(':');
            if (at == part.npos)
                fail("TXM_FAULT: \"" + std::string(part) + "\" is not VERB@NAME or VERB@NAME:N");
            Action& action = actions_.emplace_back();
            action.verb = part.substr(0, at);
            action.name = part.substr(at + 1, colon == part.npos ? colon : colon - at - 1);
            if (colon != part.npos)
                std::from_chars(part.data() + colon + 1, part.data() + part.size(), action.number);
            if (action.verb != "kill" && action.verb != "stop" && action.verb != "fail" && action.verb != "delay")
                fail("TXM_FAULT: \"" + action.verb + "\" is none of kill, stop, fail and delay");
        }
        if (const char* file = std::getenv("TXM_FAULT_LOG"); file && !actions_.empty())
            log_ = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    }

    bool is_empty() const noexcept { return actions_.empty(); }

    void pass(std::string_view name) {
        for (Action& action : actions_) {
            if (action.name == name)
                perform(action);
        }
    }

private:
    // A mistake in a test's environment must not look like a test that passed.
    [[noreturn]] static void fail(const std::string& what) {
        const std::string line = what + "\n";
        if (write(STDERR_FILENO, line.data(), line.size()) < 0) {
            // Nowhere to say it.
        }
        std::abort();
    }

    void perform(Action& action) {
        const unsigned long pass = action.passes.fetch_add(1) + 1;
        if (log_ >= 0) {
            const std::string line = action.verb + "@" + action.name + ":" + std::to_string(pass) + "\n";
            if (write(log_, line.data(), line.size()) < 0)
                fail("TXM_FAULT_LOG cannot be written");
        }
        if (action.verb == "delay") {
            std::this_thread::sleep_for(std::chrono::milliseconds(action.number));
            return;
        }
        if (pass != action.number)
            return;
        if (action.verb == "kill")
            raise(SIGKILL);
        else if (action.verb == "stop")
            raise(SIGSTOP);
        else
            throw Error(Errc::store_unavailable, "the test failed this step: " + action.name);
    }

    std::list<Action> actions_;
    int log_ = -1;
};

Plan& plan() {
    static Plan instance;
    return instance;
}

}  // namespace

void point(std::string_view name) {
    Plan& current = plan();
    if (!current.is_empty())
        current.pass(name);
}

bool broken(std::string_view mistake) noexcept {
    static const std::vector<std::string_view> mistakes = split(std::getenv("TXM_BREAK"));
    for (const std::string_view name : mistakes) {
        if (name == mistake)
            return true;
    }
    return false;
}

}  // namespace txm::fault

#endif
