// Kills processes and judges what is left. Usage:
//   fault_harness --world pipeline|journal|lines|tidy|cloud --binaries DIR --sources DIR --scratch DIR
//                 [--kills N] [--each N] [--elsewhere REGEX] [--soak] [--break ROLE:MISTAKE]
// Every process is started with a kill armed at one fault point (found in the sources, but for those that match --elsewhere,
// which another world reaches), the one that was killed least so far, and with a random time after which it is killed
// anyway. With --break a deliberate mistake is switched on and the run
// passes only if the judge finds it.
#include "fault/checker.hpp"
#include "fault/process.hpp"
#include "fault/world.hpp"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <random>
#include <regex>
#include <set>
#include <thread>

namespace txm::fault_test {
namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
    std::string world = "pipeline", mistake, elsewhere;
    std::filesystem::path binaries, sources, scratch;
    int kills = 300, each = 3;
    bool soak = false;
};

std::set<std::string> fault_points(const std::filesystem::path& sources, const std::string& elsewhere) {
    std::set<std::string> found;
    const std::regex left_out{elsewhere.empty() ? "$^" : elsewhere};
    const std::regex call{R"re(fault::point\("([a-z0-9_.]+)"\))re"};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(sources)) {
        if (entry.path().extension() != ".cpp" && entry.path().extension() != ".hpp")
            continue;
        std::ifstream file{entry.path()};
        for (std::string line; std::getline(file, line);)
            for (std::sregex_iterator it{line.begin(), line.end(), call}, end; it != end; ++it)
                if (const std::string point = (*it)[1]; !std::regex_search(point, left_out))
                    found.insert(point);
    }
    return found;
}

class Harness {
public:
    explicit Harness(const Settings& settings)
        : settings_(settings),
          points_(fault_points(settings.sources, settings.elsewhere)),
          random_(std::random_device{}()) {
        const auto &scratch = settings.scratch, &binaries = settings.binaries;
        if (settings.world == "pipeline")
            world_ = std::make_unique<PipelineWorld>(scratch, binaries);
        else if (settings.world == "journal")
            world_ = std::make_unique<JournalWorld>(scratch, binaries);
        else if (settings.world == "lines")
            world_ = std::make_unique<LinesWorld>(scratch, binaries);
        else if (settings.world == "tidy")
            world_ = std::make_unique<TidyWorld>(scratch, binaries);
#if TXM_HAS_CLOUD
        else if (settings.world == "cloud")
            world_ = std::make_unique<CloudWorld>(scratch, binaries);
#endif
        else
            throw std::invalid_argument("there is no world " + settings.world);
    }

    /// True when everything promised held (or, with a mistake, when the mistake was found).
    bool run() {
        world_->create();
        for (auto& role : world_->roles())
            slots_.push_back(Slot{std::move(role), nullptr, {}, {}, false});
        const auto begin = Clock::now();
        auto next_look = begin + std::chrono::seconds(5);
        while (!is_enough(begin)) {
            for (std::size_t i = 0; i < slots_.size(); ++i)
                step(slots_[i], i);
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
            if (Clock::now() < next_look)
                continue;
            world_->nudge();
            std::cerr << settings_.world << ": " << kills_ << " kills, " << killed_points() << " points";
            for (const auto& point : neglected())
                std::cerr << ", not yet " << point;
            std::cerr << '\n';
            const Report report = check(world_->observe());
            if (!report.is_clean())
                return conclude(report);
            next_look = Clock::now() + std::chrono::seconds(3);
        }
        for (auto& slot : slots_)
            slot.process.reset();
        world_->finish();
        History history = world_->observe();
        history.ended = true;
        return conclude(check(history), &history);
    }

    /// Fault points that this world reaches and that were killed less than --each times.
    std::vector<std::string> neglected() const {
        std::vector<std::string> names;
        for (const auto& [kind_and_point, passes] : reached_)
            if (count(kills_at_, kind_and_point.second) < settings_.each)
                names.push_back(kind_and_point.second);
        std::ranges::sort(names);
        names.erase(std::unique(names.begin(), names.end()), names.end());
        return names;
    }

    int kills() const { return kills_; }

private:
    struct Slot {
        Role role;
        std::unique_ptr<Process> process;
        std::string armed;
        Clock::time_point kill_at;
        bool is_stopping = false;
    };

    static bool is_at_the_end(const Slot& slot) { return slot.armed.find("release") != std::string::npos; }

    bool stops_gracefully(const Slot& slot) {
        return slot.role.kind != "app" && !slot.role.may_exit && (is_at_the_end(slot) || random_() % 10 == 0);
    }

    static int count(const std::map<std::string, int>& map, const std::string& key) {
        const auto found = map.find(key);
        return found == map.end() ? 0 : found->second;
    }

    int killed_points() const {
        return static_cast<int>(std::ranges::count_if(
            points_, [&](const auto& point) { return count(kills_at_, point) >= settings_.each; }));
    }

    bool is_enough(Clock::time_point begin) const {
        if (settings_.soak)
            return false;
        const bool is_late = Clock::now() - begin > std::chrono::minutes(8);  // judged by neglected()
        return kills_ >= settings_.kills && (neglected().empty() || is_late);
    }

    void step(Slot& slot, std::size_t index) {
        if (!slot.process) {
            start(slot, index);
            return;
        }
        const auto exit = slot.process->poll();
        if (!exit) {
            if (Clock::now() < slot.kill_at)
                return;
            if (!slot.is_stopping && stops_gracefully(slot)) {
                slot.is_stopping = true;  // some points are passed at the end only
                slot.kill_at = Clock::now() + std::chrono::seconds(2);
                slot.process->signal(SIGTERM);
                return;
            }
            slot.process->signal(SIGKILL);
            return;
        }
        learn(slot, index);
        if (exit->killed && world_->has_message_in_flight()) {
            ++kills_;
            if (Clock::now() < slot.kill_at)  // it died before its time: at its fault point
                ++kills_at_[slot.armed];
        } else if (!exit->killed && !slot.role.may_exit && !slot.is_stopping) {
            std::cerr << "note: " << slot.role.kind << " ended by itself with exit code " << exit->code << '\n';
            ++own_ends_;
        }
        slot.process.reset();
    }

    void start(Slot& slot, std::size_t index) {
        slot.armed = choose(slot.role.kind);
        auto environment = slot.role.environment;
        // Many points are passed once in the life of a process.
        const bool is_needed =
            reached_.contains({slot.role.kind, slot.armed}) && count(kills_at_, slot.armed) < settings_.each;
        const auto pass = random_() % (is_needed ? 8 : 2) != 0 ? 1 : 1 + random_() % 6;
        std::string faults = "kill@" + slot.armed + ":" + std::to_string(pass);
        for (const auto& point : points_)
            if (point != slot.armed && !reached_.contains({slot.role.kind, point}))
                faults += ",delay@" + point + ":0";
        environment["TXM_FAULT"] = faults;
        environment["TXM_FAULT_LOG"] = pass_log(index);
        if (const auto colon = settings_.mistake.find(':'); settings_.mistake.substr(0, colon) == slot.role.kind)
            environment["TXM_BREAK"] = settings_.mistake.substr(colon + 1);
        // Time to reach its point, where that matters still; else any moment will do. What is given back at the end may be
        // there at the beginning only, or not before that.
        const auto more = !is_needed ? 0 : is_at_the_end(slot) ? random_() % 1500 : 1500;
        slot.kill_at = Clock::now() + world_->pace() * std::chrono::milliseconds(100 + random_() % 500 + more);
        slot.is_stopping = false;
        slot.process =
            std::make_unique<Process>(slot.role.command, environment,
                                      world_->path(slot.role.kind + std::to_string(index) + ".log"), slot.role.out);
    }

    std::string pass_log(std::size_t index) const { return world_->path("passes" + std::to_string(index)); }

    /// The log has a line VERB@POINT:PASS a pass; the last one may be cut.
    void learn(const Slot& slot, std::size_t index) {
        std::ifstream log{pass_log(index)};
        for (std::string line; std::getline(log, line);) {
            const auto at = line.find('@'), colon = line.find(':');
            const std::string point = at < colon && colon != line.npos ? line.substr(at + 1, colon - at - 1) : "";
            if (points_.contains(point))
                ++reached_[{slot.role.kind, point}];
        }
        log.close();
        std::filesystem::remove(pass_log(index));
    }

    /// A point that this kind of process reaches and that was killed too little, or else least; now and then any.
    std::string choose(const std::string& kind) {
        std::vector<std::string> candidates;
        int least = 1 << 30;
        const auto wanted = neglected();
        const auto is_wanted = [&](const auto& key) {
            return key.first == kind && std::ranges::binary_search(wanted, key.second);
        };
        const bool has_wanted = random_() % 4 != 0 && std::ranges::any_of(reached_, [&](const auto& reached) {
                                    return is_wanted(reached.first);
                                });
        for (const auto& [key, passes] : reached_) {
            if (key.first != kind || (has_wanted && !is_wanted(key)))
                continue;
            const int kills = count(kills_at_, key.second) + count(armed_at_, key.second) / 3;
            if (kills < least) {
                least = kills;
                candidates.clear();
            }
            if (kills == least)
                candidates.push_back(key.second);
        }
        if (candidates.empty() || random_() % 8 == 0)
            candidates.assign(points_.begin(), points_.end());
        const std::string chosen = candidates[random_() % candidates.size()];
        ++armed_at_[chosen];
        return chosen;
    }

    bool conclude(const Report& report, const History* history = nullptr) {
        std::cerr << settings_.world << (settings_.mistake.empty() ? "" : " with the mistake " + settings_.mistake)
                  << ": " << kills_ << " kills";
        if (history)
            std::cerr << ", " << history->commits.size() << " messages committed, " << history->acknowledgements.size()
                      << " acknowledgements, " << history->effects.size() << " effects";
        std::cerr << '\n' << report.to_string();
        if (own_ends_ > 0)
            std::cerr << own_ends_ << " processes ended by themselves\n";
        return settings_.mistake.empty() ? report.is_clean() && own_ends_ == 0 : !report.is_clean();
    }

    Settings settings_;
    std::set<std::string> points_;
    std::mt19937 random_;
    std::unique_ptr<World> world_;
    std::vector<Slot> slots_;
    std::map<std::pair<std::string, std::string>, long> reached_;  // (kind, point)
    std::map<std::string, int> kills_at_, armed_at_;
    int kills_ = 0, own_ends_ = 0;
};

Settings parse(int argc, char** argv) {
    Settings settings;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--soak") {
            settings.soak = true;
            continue;
        }
        if (++i == argc)
            throw std::invalid_argument(name + " needs a value");
        const std::string value = argv[i];
        if (name == "--world")
            settings.world = value;
        else if (name == "--binaries")
            settings.binaries = value;
        else if (name == "--sources")
            settings.sources = value;
        else if (name == "--scratch")
            settings.scratch = value;
        else if (name == "--kills")
            settings.kills = std::stoi(value);
        else if (name == "--each")
            settings.each = std::stoi(value);
        else if (name == "--elsewhere")
            settings.elsewhere = value;
        else if (name == "--break")
            settings.mistake = value;
        else
            throw std::invalid_argument("unknown option " + name);
    }
    return settings;
}

int main(const Settings& settings) {
    std::filesystem::remove_all(settings.scratch);
    std::filesystem::create_directories(settings.scratch);
    Harness harness{settings};
    int passed = 0, failed = 0;
    ++(harness.run() ? passed : failed);
    if (settings.mistake.empty()) {
        const auto neglected = harness.neglected();
        for (const auto& point : neglected)
            std::cerr << "killed less than " << settings.each << " times at " << point << '\n';
        ++(neglected.empty() ? passed : failed);
    }
    std::cerr << "note: " << settings.world << ": " << harness.kills() << " kills\n";
    if (const char* result = std::getenv("TXM_RESULT"))
        std::ofstream{result} << passed << ' ' << failed << '\n';
    return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace txm::fault_test

int main(int argc, char** argv) {
    try {
        return txm::fault_test::main(txm::fault_test::parse(argc, argv));
    } catch (const std::exception& e) {
        std::cerr << "fault_harness: " << e.what() << '\n';
        return 2;
    }
}
