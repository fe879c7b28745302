#include "stores/dynamodb/feed_writes.hpp"

#include "stores/dynamodb/transact_item.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace txm::dynamodb::detail {

// As many groups a transaction as it takes. A group with a condition that does not hold is left out and told of.
boost::asio::awaitable<void> FeedWrites::write_all(std::vector<Elements> groups,
                                                   std::function<void(std::size_t)> written, Failed failed) {
    std::vector<std::size_t> left(groups.size());
    for (std::size_t i = 0; i < left.size(); ++i)
        left[i] = left.size() - 1 - i;  // the next one is at the end
    while (!left.empty()) {
        std::vector<std::string> elements;
        std::vector<std::size_t> taken, owners;
        while (!left.empty() && elements.size() + groups[left.back()].size() <= FencedWriter::max_elements) {
            taken.push_back(left.back());
            left.pop_back();
            for (std::string& element : groups[taken.back()]) {
                elements.push_back(element);
                owners.push_back(taken.back());
            }
        }
        const std::vector<std::size_t> refused = co_await writer_.write(elements);
        std::set<std::size_t> out;
        for (const std::size_t number : refused)
            out.insert(owners[number]);
        for (const std::size_t group : out)
            failed(group);
        if (out.empty()) {
            for (const std::size_t group : taken)
                written(group);
        } else {
            for (auto group = taken.rbegin(); group != taken.rend(); ++group) {
                if (!out.contains(*group))
                    left.push_back(*group);
            }
        }
    }
}

boost::asio::awaitable<void> FeedWrites::plain(std::vector<std::string> elements) {
    const std::span<std::string> all{elements};
    for (std::size_t first = 0; first < all.size(); first += FencedWriter::max_elements) {
        const auto some = all.subspan(first, std::min(FencedWriter::max_elements, all.size() - first));
        const std::vector<std::string> part(some.begin(), some.end());
        co_await writer_.write(part);
    }
}

boost::asio::awaitable<void> FeedWrites::dispatched(std::vector<GivenMessage> messages, Written written) {
    const Timestamp time = now();
    std::vector<Elements> groups;
    groups.reserve(messages.size());
    for (const GivenMessage& message : messages)
        groups.push_back(elements_.dispatched(message, time, false));
    std::vector<GivenMessage> unexpected;
    const auto is_written = [&](std::size_t i) { written(messages[i]); };
    const auto is_refused = [&](std::size_t i) { unexpected.push_back(messages[i]); };
    co_await write_all(std::move(groups), is_written, is_refused);
    if (!unexpected.empty())
        co_await dispatched_anyway(std::move(unexpected), written);
}

boost::asio::awaitable<void> FeedWrites::dispatched_anyway(std::vector<GivenMessage> messages, Written written) {
    std::vector<std::string> keys;
    keys.reserve(messages.size());
    for (const GivenMessage& message : messages)
        keys.push_back(message.row_key);
    const std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(keys));
    std::vector<Elements> groups;
    const Timestamp time = now();
    for (std::size_t i = 0; i < messages.size(); ++i) {
        GivenMessage& message = messages[i];
        message.replays = std::max(message.replays, rows[i].candidate.message.replays);
        message.has_state = message.is_parked = true;
        groups.push_back(elements_.dispatched(message, time, true));
        // As it is settled already: one that an operator sends again meanwhile stays as he wants it.
        if (rows[i].state == RowState::settled)
            groups.back().front() = elements_.settled(message.row_key);
    }
    const auto is_written = [&](std::size_t i) { written(messages[i]); };
    co_await write_all(std::move(groups), is_written, is_written);
}

boost::asio::awaitable<void> FeedWrites::dead(Settled letter, Written written) {
    std::vector<Elements> groups;
    groups.push_back(elements_.dead(letter.first, letter.second, now()));
    // Refused: somebody else sent it, deleted it or gave it up.
    const auto done = [&](std::size_t) { written(letter.first); };
    co_await write_all(std::move(groups), done, done);
}

boost::asio::awaitable<void> FeedWrites::held(Settled letter, Written written) {
    const Outcome& outcome = letter.second;
    LaneChange change;
    change.from = outcome.sequence;
    change.attempts = outcome.attempts;
    change.reason = outcome.reason;
    change.held_message = letter.first.message_id;
    for (;;) {
        const std::optional<BlockedLane> old = co_await lanes_.find(outcome.aggregate_id);
        Elements elements = elements_.lane(outcome.aggregate_id, old, change);
        const std::size_t of_lane = elements.size();
        for (std::string& element : elements_.dead(letter.first, outcome, now()))
            elements.push_back(std::move(element));
        const std::vector<std::size_t> refused = co_await writer_.write(elements);
        if (refused.empty())
            break;
        const bool is_settled = std::ranges::any_of(refused, [&](std::size_t i) { return i >= of_lane; });
        if (is_settled)
            break;  // somebody else sent it, deleted it or gave it up: nothing holds the lane
    }
    written(letter.first);
}

boost::asio::awaitable<void> FeedWrites::park(AggregateId aggregate_id, LaneChange change,
                                              std::vector<GivenMessage> messages, Written written) {
    std::vector<GivenMessage> later;
    for (;;) {
        const std::optional<BlockedLane> old = co_await lanes_.find(aggregate_id);
        Elements elements = elements_.lane(aggregate_id, old, change);
        std::vector<std::size_t> owners(elements.size(), messages.size());
        std::vector<std::size_t> taken;
        for (std::size_t i = 0; i < messages.size(); ++i) {
            const GivenMessage& message = messages[i];
            const bool is_head = i == 0 && message.sequence == change.from;
            const int attempts = is_head ? change.attempts : message.attempts;
            if (message.is_parked && i > 0) {
                taken.push_back(i);  // it is a member already
                continue;
            }
            Elements parked = elements_.parked(message, attempts);
            if (elements.size() + parked.size() > FencedWriter::max_elements)
                break;
            for (std::string& element : parked) {
                elements.push_back(std::move(element));
                owners.push_back(i);
            }
            taken.push_back(i);
        }
        const std::vector<std::size_t> refused = co_await writer_.write_lane(elements, aggregate_id.str());
        if (refused.empty()) {
            for (const std::size_t i : taken)
                written(messages[i]);
            later.assign(messages.begin() + static_cast<std::ptrdiff_t>(taken.size()), messages.end());
            break;
        }
        std::set<std::size_t> settled;
        for (const std::size_t number : refused)
            settled.insert(owners[number]);
        settled.erase(messages.size());  // of the lane, which has changed since it was read
        for (auto i = settled.rbegin(); i != settled.rend(); ++i) {
            written(messages[*i]);
            messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(*i));
        }
    }
    if (!later.empty())
        co_await park_in_blocked(std::move(later), written);
}

boost::asio::awaitable<std::vector<GivenMessage>> FeedWrites::park_in_blocked(std::vector<GivenMessage> messages,
                                                                              Written written) {
    std::vector<GivenMessage> free;
    std::size_t first = 0;
    while (first < messages.size()) {
        std::vector<std::string> elements;
        std::vector<std::size_t> owners;
        std::map<std::string, std::size_t> checks;  // lanes, by the number of the element
        std::size_t end = first;
        for (; end < messages.size(); ++end) {
            const GivenMessage& message = messages[end];
            Elements parked = elements_.parked(message, message.attempts);
            if (elements.size() + parked.size() + 1 > FencedWriter::max_elements)
                break;
            const auto [check, is_new] = checks.emplace(message.aggregate_id.str(), elements.size());
            if (is_new) {
                elements.push_back(elements_.blocked(message.aggregate_id));
                owners.push_back(messages.size());
            }
            for (std::string& element : parked) {
                elements.push_back(std::move(element));
                owners.push_back(end);
            }
        }
        const std::vector<std::size_t> refused = co_await writer_.write(elements);
        if (refused.empty()) {
            for (std::size_t i = first; i < end; ++i)
                written(messages[i]);
            first = end;
            continue;
        }
        const std::set<std::size_t> numbers(refused.begin(), refused.end());
        std::set<std::size_t> settled;
        for (const std::size_t number : numbers)
            settled.insert(owners[number]);
        std::vector<GivenMessage> rest;
        for (std::size_t i = first; i < messages.size(); ++i) {
            const auto check = checks.find(messages[i].aggregate_id.str());
            if (i < end && numbers.contains(check->second))
                free.push_back(std::move(messages[i]));
            else if (settled.contains(i))
                written(messages[i]);  // somebody else sent or deleted it
            else
                rest.push_back(std::move(messages[i]));
        }
        messages = std::move(rest);
        first = 0;
    }
    co_return free;
}

boost::asio::awaitable<void> FeedWrites::unpark(AggregateId aggregate_id) {
    for (;;) {
        const std::optional<BlockedLane> old = co_await lanes_.find(aggregate_id);
        std::vector<std::string> elements;
        std::size_t of_lane = 0;
        if (old) {
            LaneChange change;
            change.next_attempt = now();
            change.from = old->held_sequence;
            change.reason = "freed";
            elements = elements_.lane(aggregate_id, old, change);
            of_lane = elements.size();
            if (!old->next_attempt && !old->held_message.is_nil())
                elements.push_back(elements_.let_go(old->held_sequence, old->held_message));
        }
        std::vector<std::size_t> refused = co_await writer_.write(elements);
        // The dead letter may be gone already.
        if (refused.size() == 1 && refused.front() == of_lane) {
            elements.resize(of_lane);
            refused = co_await writer_.write(elements);
        }
        if (refused.empty())
            co_return;
    }
}

boost::asio::awaitable<void> FeedWrites::mark_attempts(std::vector<Outcome> starting) {
    std::vector<std::string> elements;
    elements.reserve(starting.size());
    for (const Outcome& outcome : starting)
        elements.push_back(elements_.attempts(outcome.message_id, outcome.attempts));
    co_await plain(std::move(elements));
}

boost::asio::awaitable<void> FeedWrites::end_lanes(std::vector<DueLane> lanes) {
    std::vector<Elements> groups;
    groups.reserve(lanes.size());
    for (const DueLane& lane : lanes)
        groups.push_back(elements_.end_of(lane));
    const auto ignore = [](std::size_t) {};
    co_await write_all(std::move(groups), ignore, ignore);
}

boost::asio::awaitable<void> FeedWrites::forget(std::vector<SettledMember> members) {
    std::vector<Elements> groups;
    groups.reserve(members.size());
    for (const auto& [member, row] : members)
        groups.push_back(elements_.forgotten(member, row));
    const auto ignore = [](std::size_t) {};
    co_await write_all(std::move(groups), ignore, ignore);
}

}  // namespace txm::dynamodb::detail
