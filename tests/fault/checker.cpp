#include "fault/checker.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace txm::fault_test {
namespace {

using Ids = std::unordered_set<std::string_view>;

/// The order of first occurrences in `seen`, aggregate by aggregate, must be the commit order. Messages that never
/// arrived are passed over: whether they may be missing is another question.
void check_order(const History& history, const std::vector<Event>& seen, std::string_view what,
                 const std::unordered_map<std::string_view, std::size_t>& commit_index, std::vector<std::string>& out) {
    std::unordered_map<std::string_view, std::size_t> last;
    Ids met;
    for (const auto& event : seen) {
        if (!met.insert(event.message_id).second)
            continue;
        const auto committed = commit_index.find(event.message_id);
        if (committed == commit_index.end())
            continue;
        const auto [previous, first] = last.try_emplace(event.aggregate_id, committed->second);
        if (first)
            continue;
        if (committed->second < previous->second)
            out.push_back(std::string(what) + " of " + event.message_id + " came after that of the later " +
                          history.commits[previous->second].message_id + " of aggregate " + event.aggregate_id);
        previous->second = std::max(previous->second, committed->second);
    }
}

/// A message that overtook one which arrived in the end is an inversion; one that arrived while a predecessor never did
/// is an inversion too, unless that predecessor is a dead letter.
void check_gaps(const History& history, const Ids& arrived, std::string_view what, std::vector<std::string>& out) {
    std::unordered_map<std::string_view, const Event*> missing;
    for (const auto& commit : history.commits) {
        if (!arrived.contains(commit.message_id)) {
            if (!history.dead.contains(commit.message_id))
                missing.try_emplace(commit.aggregate_id, &commit);
            continue;
        }
        if (const auto gap = missing.find(commit.aggregate_id); gap != missing.end())
            out.push_back(std::string(what) + " of " + commit.message_id + " came without that of " +
                          gap->second->message_id + " before it in aggregate " + commit.aggregate_id);
    }
}

void check_arrival(const History& history, const Ids& arrived, std::string_view what, Report& report) {
    for (const auto& commit : history.commits) {
        if (arrived.contains(commit.message_id) || history.dead.contains(commit.message_id))
            continue;
        if (history.excused.contains(commit.aggregate_id))
            continue;
        report.loss.push_back(commit.message_id + " of aggregate " + commit.aggregate_id + " has no " +
                              std::string(what));
        const bool neighbour_blocked = !history.excused.empty();
        if (neighbour_blocked)
            report.stuck_neighbour.push_back(commit.aggregate_id + " has nothing to wait for, but " +
                                             commit.message_id + " has no " + std::string(what));
    }
}

}  // namespace

Report check(const History& history) {
    Report report;
    std::unordered_map<std::string_view, std::size_t> commit_index;
    for (std::size_t i = 0; i < history.commits.size(); ++i)
        if (!commit_index.emplace(history.commits[i].message_id, i).second)
            report.ghost.push_back(history.commits[i].message_id + " is committed twice");

    for (const auto& id : history.confirmed)
        if (!commit_index.contains(id))
            report.loss.push_back(id + " was reported as committed and is not in the store");
    for (const auto& id : history.refused)
        if (commit_index.contains(id))
            report.ghost.push_back(id + " was reported as not committed and is in the store");

    Ids acknowledged, effective;
    for (const auto& event : history.acknowledgements) {
        acknowledged.insert(event.message_id);
        if (!commit_index.contains(event.message_id))
            report.ghost.push_back(event.message_id + " is at the broker and was never committed");
    }
    for (const auto& event : history.effects) {
        if (!effective.insert(event.message_id).second)
            report.double_effect.push_back(event.message_id + " of aggregate " + event.aggregate_id);
        if (!commit_index.contains(event.message_id))
            report.ghost.push_back(event.message_id + " took effect and was never committed");
    }

    const auto check_arrivals = [&](const std::vector<Event>& events, const Ids& arrived, const std::string& what) {
        check_order(history, events, "the first " + what, commit_index, report.inversion);
        check_gaps(history, arrived, "the " + what, report.inversion);
        if (history.ended)
            check_arrival(history, arrived, what, report);
    };
    if (history.has_broker)
        check_arrivals(history.acknowledgements, acknowledged, "acknowledgement");
    if (history.has_effects)
        check_arrivals(history.effects, effective, "effect");
    for (const auto& sink : history.sinks) {
        Ids delivered;
        for (const auto& event : sink) {
            delivered.insert(event.message_id);
            if (!commit_index.contains(event.message_id))
                report.ghost.push_back(event.message_id + " was delivered and was never committed");
        }
        check_arrivals(sink, delivered, "delivery");
    }
    return report;
}

std::string Report::to_string() const {
    std::string text;
    const auto add = [&](std::string_view name, const std::vector<std::string>& found) {
        text += std::string(name) + ": " + std::to_string(found.size());
        for (std::size_t i = 0; i < std::min<std::size_t>(found.size(), 3); ++i)
            text += "\n    " + found[i];
        text += '\n';
    };
    add("lost", loss);
    add("ghosts", ghost);
    add("inversions", inversion);
    add("double effects", double_effect);
    add("stuck neighbours", stuck_neighbour);
    return text;
}

}  // namespace txm::fault_test
