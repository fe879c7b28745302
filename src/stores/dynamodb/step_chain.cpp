#include "stores/dynamodb/step_chain.hpp"

#include "stores/dynamodb/feed_chain.hpp"
#include "stores/dynamodb/outbox_row.hpp"

#include <algorithm>
#include <span>
#include <unordered_map>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// Each step back is a round trip. A longer chain is begun at its other end, which the index of what waits shows first.
constexpr std::size_t most_steps = 50;

// Keys of messages that are found in one go, beside those of the event.
constexpr std::size_t most_added = 2000;

// Of payload of what is found; of the rest the keys are enough until it is nearly their turn.
constexpr std::size_t most_bytes = std::size_t{4} << 20;

constexpr std::size_t rows_at_once = 100;
constexpr std::size_t rows_of_a_page = 500;

}  // namespace

boost::asio::awaitable<std::vector<Candidate>> StepChain::complete(std::vector<Candidate>& candidates) {
    for (const Candidate& candidate : candidates)
        known_.insert(candidate.message.message_id);
    co_await walk_back(candidates);
    Lanes open;
    for (const Candidate& candidate : candidates) {
        if (is_open(candidate.previous))
            open.insert(candidate.message.aggregate_id.str());
    }
    std::vector<Candidate> later;
    if (!open.empty()) {
        co_await find_oldest(candidates, open);
        co_await walk_to_start(candidates, open);
    }
    Chain::sort(candidates);
    if (!open.empty())
        later = cut(candidates, open);
    co_return later;
}

bool StepChain::is_open(const Uuid& previous) const {
    return !previous.is_nil() && !known_.contains(previous) && !settled_.contains(previous);
}

void StepChain::add(std::vector<Candidate>& candidates, Candidate candidate) {
    if (!known_.insert(candidate.message.message_id).second)
        return;
    ++added_;
    if (bytes_ + candidate.message.payload.size() > most_bytes)
        candidate.is_read = false;
    if (candidate.is_read) {
        bytes_ += candidate.message.payload.size();
        candidates.push_back(std::move(candidate));
        return;
    }
    // A new one: what a text is assigned keeps its memory.
    Candidate key = candidate_of(std::move(candidate.row_key));
    key.message.aggregate_id = std::move(candidate.message.aggregate_id);
    key.message.sequence = candidate.message.sequence;
    key.previous = candidate.previous;
    candidates.push_back(std::move(key));
}

boost::asio::awaitable<void> StepChain::read_predecessors(std::vector<Candidate>& candidates,
                                                          std::vector<std::string> keys) {
    const std::span<const std::string> all{keys};
    for (std::size_t first = 0; first < all.size(); first += rows_at_once) {
        const auto part = all.subspan(first, std::min(rows_at_once, all.size() - first));
        std::vector<std::string> some(part.begin(), part.end());
        std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(some));
        for (FeedRow& row : rows) {
            if (row.state == RowState::pending)
                add(candidates, std::move(row.candidate));
            else
                settled_.insert(row.candidate.message.message_id);
        }
    }
}

// All that are missing, a step of every chain at a time.
boost::asio::awaitable<void> StepChain::walk_back(std::vector<Candidate>& candidates) {
    std::size_t from = 0;
    for (std::size_t step = 0; step < most_steps && added_ < most_added; ++step) {
        std::vector<std::string> keys;
        for (; from < candidates.size(); ++from) {
            if (is_open(candidates[from].previous))
                keys.push_back(key_of(candidates[from].previous));
        }
        if (keys.empty())
            co_return;
        co_await read_predecessors(candidates, std::move(keys));
    }
}

// The index shows what waits by its age. It may be behind the table: these rows are read before they are sent.
boost::asio::awaitable<void> StepChain::find_oldest(std::vector<Candidate>& candidates, const Lanes& lanes) {
    Item values;
    values.emplace(":pending", not_dispatched);
    Query query{tables_.outbox, "NotDispatched = :pending", std::move(values)};
    query.index = "NotDispatchedMessagesIndex";
    query.consistent = false;
    query.limit = rows_of_a_page;
    const std::size_t end = added_ + most_added;
    Item next;
    do {
        Page page = co_await db_.read_page(query, next);
        next = std::move(page.last_key);
        for (const Item& row : page.items) {
            const std::string* aggregate_id = text_of(row, "AggregateId");
            if (added_ == end || !aggregate_id || !lanes.contains(*aggregate_id))
                continue;
            Candidate candidate = candidate_of(row, tables_.max_payload);
            candidate.is_read = false;
            add(candidates, std::move(candidate));
        }
    } while (!next.empty() && added_ < end);
}

// Each lane from the oldest of it that was found.
boost::asio::awaitable<void> StepChain::walk_to_start(std::vector<Candidate>& candidates, const Lanes& lanes) {
    struct First {
        Sequence sequence;
        Uuid previous;
    };
    std::unordered_map<std::string, First> firsts;
    std::size_t from = 0;
    for (std::size_t step = 0; step < most_steps; ++step) {
        for (; from < candidates.size(); ++from) {
            const Candidate& candidate = candidates[from];
            const First found{candidate.message.sequence, candidate.previous};
            const std::string& lane = candidate.message.aggregate_id.str();
            if (found.sequence <= 0 || !lanes.contains(lane))
                continue;
            First& first = firsts.try_emplace(lane, found).first->second;
            if (found.sequence < first.sequence)
                first = found;
        }
        std::vector<std::string> keys;
        for (const auto& [lane, first] : firsts) {
            if (is_open(first.previous))
                keys.push_back(key_of(first.previous));
        }
        if (keys.empty())
            co_return;
        co_await read_predecessors(candidates, std::move(keys));
    }
}

// Of each lane what has all that comes before it stays.
std::vector<Candidate> StepChain::cut(std::vector<Candidate>& candidates, const Lanes& lanes) const {
    std::vector<Candidate> later;
    struct Lane {
        Uuid last{};
        bool is_cut = false;
    };
    std::unordered_map<std::string, Lane> known;
    std::erase_if(candidates, [&](Candidate& candidate) {
        const std::string& aggregate_id = candidate.message.aggregate_id.str();
        if (candidate.message.sequence <= 0 || !lanes.contains(aggregate_id))
            return false;
        Lane& lane = known[aggregate_id];
        lane.is_cut = lane.is_cut || !(candidate.previous.is_nil() || candidate.previous == lane.last ||
                                       settled_.contains(candidate.previous));
        lane.last = candidate.message.message_id;
        if (lane.is_cut)
            later.push_back(std::move(candidate));
        return lane.is_cut;
    });
    return later;
}

}  // namespace txm::dynamodb::detail
