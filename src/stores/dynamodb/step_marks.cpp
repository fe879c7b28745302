#include "stores/dynamodb/step_marks.hpp"

#include "core/fault_point.hpp"
#include "stores/dynamodb/transact.hpp"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// A mark is one element, or two: for a message of which something else is known, and on a table that is shared.
constexpr std::size_t marks_at_once = 50;

std::string joined(const Elements& elements) {
    std::string text;
    for (const std::string& element : elements)
        text.append(text.empty() ? "" : ",").append(element);
    return text;
}

}  // namespace

boost::asio::awaitable<void> StepMarks::write(std::vector<GivenMessage> messages) const {
    const Timestamp time = now();
    std::vector<std::string> refused;
    while (!messages.empty()) {
        const std::size_t first = messages.size() - std::min(marks_at_once, messages.size());
        Elements elements;
        std::vector<std::size_t> owners;
        for (std::size_t i = first; i < messages.size(); ++i) {
            for (std::string& element : elements_.dispatched_beside(messages[i], time)) {
                elements.push_back(std::move(element));
                owners.push_back(i);
            }
        }
        fault::point("dynamodb_step.mark");
        const std::vector<std::size_t> numbers = co_await transact(db_, joined(elements), tables_.outbox);
        if (numbers.empty()) {
            messages.resize(first);
            continue;
        }
        std::set<std::size_t> out;
        for (const std::size_t number : numbers)
            out.insert(owners[number]);
        for (auto i = out.rbegin(); i != out.rend(); ++i) {
            refused.push_back(std::move(messages[*i].row_key));
            messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(*i));
        }
    }
    for (std::string& row_key : refused)
        co_await write_refused(std::move(row_key));
}

// Somebody deleted the row, or gave the message up. All that says so of it goes in one transaction with the mark.
boost::asio::awaitable<void> StepMarks::write_refused(std::string row_key) const {
    for (;;) {
        std::vector<std::string> keys{row_key};
        const std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(keys));
        const FeedRow& row = rows.front();
        if (row.state == RowState::settled)
            co_return;
        const GivenMessage message{row.candidate};
        Elements elements;
        if (row.state == RowState::dead) {
            elements = elements_.dispatched(message, now(), true);
            const std::optional<BlockedLane> lane = co_await lanes_.find(message.aggregate_id);
            if (lane && !lane->next_attempt && lane->held_message == message.message_id) {
                LaneChange change;
                change.next_attempt = now();
                change.from = lane->held_sequence;
                change.reason = "the dead letter that held it was acknowledged";
                for (std::string& element : elements_.lane(message.aggregate_id, lane, change))
                    elements.push_back(std::move(element));
            }
        } else {
            elements = elements_.dispatched_beside(message, now());  // an operator sends it again
        }
        const std::vector<std::size_t> refused = co_await transact(db_, joined(elements), tables_.outbox);
        if (refused.empty())
            co_return;
    }
}

}  // namespace txm::dynamodb::detail
