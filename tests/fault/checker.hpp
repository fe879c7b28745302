#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

/// The one judge of every test that kills things. It knows only what an outsider can see: what was committed (in commit
/// order), what a broker acknowledged, what took effect; and it says which promise was broken for which message.
namespace txm::fault_test {

struct Event {
    std::string message_id;
    std::string aggregate_id;
};

struct History {
    std::vector<Event> commits;               ///< in commit order
    std::vector<Event> acknowledgements;      ///< in order; later ones of the same message are duplicates
    std::vector<Event> effects;               ///< in commit order of the consumer's store
    std::vector<std::vector<Event>> sinks{};  ///< what was delivered at least once elsewhere: in order, with duplicates
    std::set<std::string> confirmed;          ///< message_ids whose commit was reported to the application
    std::set<std::string> refused;            ///< message_ids whose commit was reported as failed or rolled back
    std::set<std::string> dead;               ///< message_ids that are dead letters, of the relay or the consumer
    std::set<std::string> excused;            ///< aggregates that may be blocked: they have a dead letter that is held
    bool ended = false;                       ///< everything was given time to arrive: what is missing is lost
    bool has_broker = true;                   ///< acknowledgements were observed
    bool has_effects = true;                  ///< effects were observed
};

struct Report {
    std::vector<std::string> loss, ghost, inversion, double_effect, stuck_neighbour;

    bool is_clean() const {
        return loss.empty() && ghost.empty() && inversion.empty() && double_effect.empty() && stuck_neighbour.empty();
    }
    std::string to_string() const;  ///< a line a kind of violation, with the first examples
};

Report check(const History& history);

}  // namespace txm::fault_test
