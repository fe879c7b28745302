#include "stores/dynamodb/step_chain.hpp"

#include "stores/dynamodb/feed_chain.hpp"
#include "stores/dynamodb/outbox_row.hpp"

#include <algorithm>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// Each step back is a round trip. A longer chain is begun at its other end, which the index of what waits often shows first.
constexpr std::size_t most_steps = 50;

// Keys of messages that are found in one go, beside those of the event.
constexpr std::size_t most_added = 2000;

// Of payload of what is found; of the rest the keys are enough until it is nearly their turn.
constexpr std::size_t most_bytes = std::size_t{4} << 20;

constexpr std::size_t rows_at_once = 100;
constexpr std::size_t rows_of_a_page = 500;

// Of the index that are read while there is something to send. Each is up to 1 MB, and takes as long as some steps back.
constexpr std::size_t most_pages = 20;
constexpr std::size_t steps_of_a_page = 10;

}  // namespace

boost::asio::awaitable<std::vector<Candidate>> StepChain::add_near(std::vector<Candidate>& candidates) {
    for (const Candidate& candidate : candidates)
        known_.insert(candidate.message.message_id);
    co_await walk_back(candidates);
    std::set<std::string> lanes;
    for (const Candidate& candidate : candidates) {
        if (is_open(candidate.previous))
            lanes.insert(candidate.message.aggregate_id.str());
    }
    std::vector<Candidate> open;
    std::erase_if(candidates, [&](Candidate& candidate) {
        if (candidate.message.sequence <= 0 || !lanes.contains(candidate.message.aggregate_id.str()))
            return false;
        open.push_back(std::move(candidate));
        return true;
    });
    Chain::sort(candidates);
    co_return open;
}

boost::asio::awaitable<std::vector<Candidate>> StepChain::find_starts(std::vector<Candidate>& open) {
    Lanes lanes;
    for (const Candidate& candidate : open)
        lanes[candidate.message.aggregate_id.str()].note(candidate);
    const std::size_t share = std::max<std::size_t>(1, most_added / std::max<std::size_t>(1, lanes.size()));
    Item next;
    std::size_t pages = 0;
    for (bool is_end = false, goes_on = true; goes_on;) {
        bool is_news = !is_end;
        if (!is_end) {
            next = co_await read_page(std::move(next), lanes, share);
            is_end = next.empty();
            ++pages;
        }
        const bool has_come_further = co_await walk_on(lanes, share);
        is_news = is_news || has_come_further;
        const std::size_t searched = count_open(lanes);
        const bool has_ready = searched < lanes.size();
        std::size_t found = 0;
        for (const auto& [aggregate_id, lane] : lanes)
            found += lane.found.size();
        if (has_ready && pages >= most_pages)
            goes_on = false;
        else if (searched == 0)
            goes_on = !is_end && found < most_added;
        else
            goes_on = is_news;
    }
    co_return take_ready(open, lanes);
}

bool StepChain::Lane::note(const Candidate& candidate) {
    if (candidate.message.sequence <= 0 || candidate.message.sequence >= first)
        return false;
    first = candidate.message.sequence;
    previous = candidate.previous;
    return true;
}

bool StepChain::is_open(const Uuid& previous) const {
    return !previous.is_nil() && !known_.contains(previous) && !settled_.contains(previous);
}

std::size_t StepChain::count_open(const Lanes& lanes) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(lanes, [this](const auto& lane) { return is_open(lane.second.previous); }));
}

// Without its payload when there is much of it.
Candidate StepChain::shortened(Candidate candidate) {
    if (bytes_ + candidate.message.payload.size() > most_bytes)
        candidate.is_read = false;
    if (!candidate.is_read)
        let_payload_go(candidate);
    bytes_ += candidate.message.payload.size();
    return candidate;
}

// The highest numbers make room: they are found again when it is their turn. True when it is the lowest of its lane.
bool StepChain::add(Lane& lane, Candidate candidate, std::size_t most) {
    const Sequence sequence = candidate.message.sequence;
    if (sequence <= 0 || known_.contains(candidate.message.message_id) || lane.found.contains(sequence))
        return false;
    const bool is_first = lane.note(candidate);
    known_.insert(candidate.message.message_id);
    lane.found.emplace(sequence, shortened(std::move(candidate)));
    if (lane.found.size() > most) {
        const auto last = std::prev(lane.found.end());
        known_.erase(last->second.message.message_id);
        bytes_ -= last->second.message.payload.size();
        lane.found.erase(last);
    }
    return is_first;
}

boost::asio::awaitable<void> StepChain::read_predecessors(std::vector<std::string> keys, const Hear& hear) {
    const std::span<const std::string> all{keys};
    for (std::size_t first = 0; first < all.size(); first += rows_at_once) {
        const auto part = all.subspan(first, std::min(rows_at_once, all.size() - first));
        std::vector<std::string> some(part.begin(), part.end());
        std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(some));
        for (FeedRow& row : rows) {
            if (row.state == RowState::pending)
                hear(std::move(row.candidate));
            else
                settled_.insert(row.candidate.message.message_id);
        }
    }
}

// All that are missing, a step of every chain at a time.
boost::asio::awaitable<void> StepChain::walk_back(std::vector<Candidate>& candidates) {
    const Hear hear = [&](Candidate candidate) {
        if (known_.insert(candidate.message.message_id).second) {
            ++added_;
            candidates.push_back(shortened(std::move(candidate)));
        }
    };
    std::size_t from = 0;
    for (std::size_t step = 0; step < most_steps && added_ < most_added; ++step) {
        std::vector<std::string> keys;
        for (; from < candidates.size(); ++from) {
            if (is_open(candidates[from].previous))
                keys.push_back(key_of(candidates[from].previous));
        }
        if (keys.empty())
            co_return;
        co_await read_predecessors(std::move(keys), hear);
    }
}

// The index shows what waits by its age. It may be behind the table: these rows are read before they are sent.
boost::asio::awaitable<Item> StepChain::read_page(Item from, Lanes& lanes, std::size_t most) {
    Item values;
    values.emplace(":pending", not_dispatched);
    Query query{tables_.outbox, "NotDispatched = :pending", std::move(values)};
    query.index = "NotDispatchedMessagesIndex";
    query.consistent = false;
    query.limit = rows_of_a_page;
    Page page = co_await db_.read_page(query, from);
    for (const Item& row : page.items) {
        const std::string* aggregate_id = text_of(row, "AggregateId");
        const auto lane = aggregate_id ? lanes.find(*aggregate_id) : lanes.end();
        if (lane == lanes.end())
            continue;
        Candidate candidate = candidate_of(row, tables_.max_payload);
        candidate.is_read = false;
        add(lane->second, std::move(candidate), most);
    }
    co_return std::move(page.last_key);
}

// Each lane from the lowest of it that was found: that need not be the oldest by its sender's clock. True when that led further.
boost::asio::awaitable<bool> StepChain::walk_on(Lanes& lanes, std::size_t most) {
    bool has_come_further = false, is_news = true;
    const Hear hear = [&](Candidate candidate) {
        const auto lane = lanes.find(candidate.message.aggregate_id.str());
        is_news = (lane != lanes.end() && add(lane->second, std::move(candidate), most)) || is_news;
    };
    for (std::size_t step = 0; step < steps_of_a_page && is_news; ++step) {
        std::vector<std::string> keys;
        for (const auto& [aggregate_id, lane] : lanes) {
            if (is_open(lane.previous))
                keys.push_back(key_of(lane.previous));
        }
        if (keys.empty())
            break;
        is_news = false;
        const std::size_t settled = settled_.size();
        co_await read_predecessors(std::move(keys), hear);
        is_news = is_news || settled_.size() > settled;
        has_come_further = has_come_further || is_news;
    }
    co_return has_come_further;
}

// Of each lane what has all that comes before it.
std::vector<Candidate> StepChain::take_ready(std::vector<Candidate>& open, Lanes& lanes) const {
    std::vector<Candidate> ready = std::exchange(open, {});
    for (auto& [aggregate_id, lane] : lanes) {
        for (auto& [sequence, candidate] : lane.found)
            ready.push_back(std::move(candidate));
    }
    Chain::sort(ready);
    struct Passed {
        Uuid last{};
        bool is_cut = false;
    };
    std::unordered_map<std::string, Passed> passed;
    std::erase_if(ready, [&](Candidate& candidate) {
        Passed& lane = passed[candidate.message.aggregate_id.str()];
        lane.is_cut = lane.is_cut || !(candidate.previous.is_nil() || candidate.previous == lane.last ||
                                       settled_.contains(candidate.previous));
        lane.last = candidate.message.message_id;
        if (lane.is_cut)
            open.push_back(std::move(candidate));
        return lane.is_cut;
    });
    return ready;
}

}  // namespace txm::dynamodb::detail
