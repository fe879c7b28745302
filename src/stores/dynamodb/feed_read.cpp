#include "stores/dynamodb/feed_impl.hpp"

#include "core/fault_point.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/together.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace txm::dynamodb {

using namespace detail;

namespace {

using namespace std::chrono_literals;

// A predecessor that no source has shown yet, because its shard is read a little later, is waited for that long.
constexpr auto wait_for_predecessor = 200ms;

// Messages that are heard of and not sorted out: more is not read before.
constexpr std::size_t most_in_pool = 2000;
constexpr std::size_t rows_of_a_page = 500;
constexpr auto longest_behind = 10min;

// Of payload in memory. Beyond it the keys are enough; a row is read when it is nearly its turn. A row has at most 400 kB.
constexpr std::size_t most_bytes = std::size_t{4} << 20;
constexpr std::size_t rows_at_once = 100;

// A lane that comes back is given in runs: long enough to be quick with a gapless broker, short enough that 100,000
// parked messages neither fill memory nor keep others waiting.
constexpr std::size_t max_run = 64;
constexpr std::size_t runs_at_once = 16;

}  // namespace

awaitable<std::vector<StoredMessage>> OutboxFeed::Impl::read(std::size_t max, std::size_t max_bytes) {
    max = std::max<std::size_t>(1, max);
    for (;;) {
        if (wait_.was_interrupted())
            co_return std::vector<StoredMessage>{};
        co_await writer_.keep_lease();
        for (Candidate& candidate : memory_.begin_read())
            pool_.push_back(std::move(candidate));
        // First: a lane that ends here is blocked no more when what came last is sorted out.
        Runs runs = co_await read_runs(max);
        if (memory_.ready() < max && pool_.size() < most_in_pool)
            co_await gather();
        co_await sort_out();
        fault::point("dynamodb_feed.read");
        std::vector<StoredMessage> messages = memory_.give(std::move(runs), max, max_bytes);
        if (!messages.empty())
            co_return messages;
        if (is_tail_)
            co_await save_positions(false);
        co_await wait_.wait_for(idle_time());
    }
}

void OutboxFeed::Impl::hear(Candidate candidate) {
    if (!memory_.open(candidate.message.message_id))
        return;
    if (!candidate.is_read || pool_bytes_ > most_bytes)
        candidate = candidate_of(std::move(candidate.row_key));
    pool_bytes_ += candidate.message.payload.size();
    pool_.push_back(std::move(candidate));
}

awaitable<void> OutboxFeed::Impl::gather() {
    if (is_tail_) {
        const StreamReader::Hear hear_of = [this](Candidate candidate) { hear(std::move(candidate)); };
        const bool is_lossy = co_await stream_.read(hear_of);
        if (is_lossy) {
            walk_at_ = {};
            must_walk_all_ = true;
        }
    }
    // While there is more to read, the stream itself shows what is in the index, in an order that needs no memory. A relay
    // that never catches up looks for what its stream may have left out all the same.
    const bool waits_for_stream =
        is_tail_ && !must_walk_all_ && stream_.is_behind() && Clock::now() < walk_at_ + longest_behind;
    if (!waits_for_stream && (Clock::now() >= walk_at_ || !index_.is_at_start()))
        co_await walk_index();
}

// With a stream it finds what that did not show, without one it finds everything.
awaitable<void> OutboxFeed::Impl::walk_index() {
    const bool is_sweep = is_tail_ && stream_.is_open();
    do {
        const auto min_age = is_sweep && !must_walk_all_ ? options_.sweep_age : 0ms;
        const std::vector<std::string> keys = co_await index_.next_page(min_age, rows_of_a_page);
        for (const std::string& key : keys)
            hear(candidate_of(key));
    } while (!index_.is_at_start() && pool_.size() < rows_of_a_page && !is_sweep);
    if (!index_.is_at_start())
        co_return;
    must_walk_all_ = false;
    walk_at_ = Clock::now() + (is_sweep ? options_.sweep_interval : options_.poll_interval);
}

awaitable<void> OutboxFeed::Impl::sort_out() {
    while (!pool_.empty()) {
        const bool has_read = co_await look_at_rows();
        co_await put_aside();
        memory_.make_ready(pool_);
        const bool is_news = co_await look_at_predecessors();
        if (!is_news && !has_read)
            break;
    }
    pool_bytes_ = 0;
    for (const Candidate& candidate : pool_)
        pool_bytes_ += candidate.message.payload.size();
}

// Reads the rows of those that were only heard of, or that seem to have been given before. False when it read none.
awaitable<bool> OutboxFeed::Impl::look_at_rows() {
    std::vector<std::size_t> places;
    std::vector<std::string> keys;
    const bool has_room = memory_.ready_bytes() < most_bytes;
    for (std::size_t i = 0; i < pool_.size() && has_room && keys.size() < rows_at_once; ++i) {
        const Candidate& candidate = pool_[i];
        if (!candidate.is_checked && (!candidate.is_read || memory_.is_past(candidate))) {
            places.push_back(i);
            keys.push_back(candidate.row_key);
        }
    }
    if (places.empty())
        co_return false;
    std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(keys));
    for (std::size_t i = 0; i < places.size(); ++i) {
        Candidate& candidate = pool_[places[i]];
        if (rows[i].state == RowState::pending) {
            rows[i].candidate.found_at = candidate.found_at;
            candidate = std::move(rows[i].candidate);
        } else {
            memory_.close(candidate.message.message_id);  // it is settled, or its lane gives it
            candidate.row_key.clear();
        }
    }
    std::erase_if(pool_, [](const Candidate& candidate) { return candidate.row_key.empty(); });
    co_return true;
}

// Messages of blocked lanes become their members.
awaitable<void> OutboxFeed::Impl::put_aside() {
    if (std::ranges::none_of(pool_, &Candidate::is_read))
        co_return;
    const bool are_any = co_await lanes_.any();
    if (!are_any)
        co_return;
    std::set<std::string> asked;
    for (const Candidate& candidate : pool_) {
        if (candidate.is_read)
            asked.insert(candidate.message.aggregate_id.str());
    }
    std::vector<std::string> lanes(asked.begin(), asked.end());
    const std::set<std::string> blocked = co_await lanes_.blocked(std::move(lanes));
    std::vector<GivenMessage> members;
    for (const Candidate& candidate : pool_) {
        if (candidate.is_read && blocked.contains(candidate.message.aggregate_id.str()))
            members.emplace_back(candidate);
    }
    if (members.empty())
        co_return;
    fault::point("dynamodb_feed.put_aside");
    const FeedWrites::Written written = [this](const GivenMessage& message) { memory_.close(message.message_id); };
    co_await writes_.park_in_blocked(std::move(members), written);
    std::erase_if(pool_, [this](const Candidate& c) { return !memory_.is_open(c.message.message_id); });
    lanes_changed_ = true;
}

// Asks for the predecessors that no source has shown: those that are settled let their successors go, those that wait are
// sent first. True when that changed anything.
awaitable<bool> OutboxFeed::Impl::look_at_predecessors() {
    const Clock::time_point time = Clock::now();
    std::vector<std::size_t> places;
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < pool_.size(); ++i) {
        const Candidate& candidate = pool_[i];
        const bool is_ripe = candidate.is_checked || time - candidate.found_at >= wait_for_predecessor;
        if (is_ripe && candidate.is_read && !candidate.previous.is_nil() && !memory_.is_open(candidate.previous) &&
            !memory_.is_being_blocked(candidate.message.aggregate_id)) {
            places.push_back(i);
            keys.push_back(key_of(candidate.previous));
        }
    }
    if (places.empty())
        co_return false;
    std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(keys));
    bool is_news = false;
    for (std::size_t i = 0; i < places.size(); ++i) {
        FeedRow& row = rows[i];
        if (row.state == RowState::settled || row.state == RowState::dead) {
            memory_.note_next(pool_[places[i]]);
            is_news = true;
        } else if (row.state == RowState::pending && memory_.open(row.candidate.message.message_id)) {
            pool_.push_back(std::move(row.candidate));
            is_news = true;
        }
    }
    co_return is_news;
}

awaitable<OutboxFeed::Impl::Runs> OutboxFeed::Impl::read_runs(std::size_t max) {
    Runs runs;
    if (!lanes_changed_ && Clock::now() < look_at_lanes_at_)
        co_return runs;
    lanes_changed_ = false;
    look_at_lanes_at_ = Clock::now();
    // Half is left to lanes that are not blocked: many that fail again and again must not crowd them out.
    const std::size_t share = std::max<std::size_t>(1, max / 2);
    DueLanes due = co_await lanes_.due(now(), share + memory_.runs());
    std::erase_if(due.lanes, [this](const DueLane& lane) {
        return memory_.has_run(lane.aggregate_id) || memory_.is_being_blocked(lane.aggregate_id);
    });
    if (due.lanes.size() > share)
        due.lanes.resize(share);
    std::vector<LaneRun> read(due.lanes.size());
    const std::size_t limit = std::clamp<std::size_t>(share / std::max<std::size_t>(1, read.size()), 1, max_run);
    for (std::size_t first = 0; first < read.size(); first += runs_at_once) {
        std::vector<awaitable<void>> reads;
        for (std::size_t i = first; i < std::min(read.size(), first + runs_at_once); ++i)
            reads.push_back(read_run(due.lanes[i], limit, read[i]));
        co_await together(std::move(reads));
    }
    std::vector<DueLane> ended;
    std::vector<FeedWrites::SettledMember> settled;
    for (std::size_t i = 0; i < read.size(); ++i) {
        LaneRun& lane = read[i];
        if (lane.is_empty && !memory_.is_being_blocked(due.lanes[i].aggregate_id))
            ended.push_back(due.lanes[i]);
        for (FeedWrites::SettledMember& member : lane.settled)
            settled.push_back(std::move(member));
        for (Candidate& candidate : lane.predecessors)
            hear(std::move(candidate));
        if (!lane.run.empty())
            runs.push_back(std::move(lane.run));
    }
    if (!settled.empty())
        co_await writes_.forget(std::move(settled));
    if (!ended.empty())
        co_await writes_.end_lanes(std::move(ended));
    next_due_ = due.next;
    if (read.empty())
        look_at_lanes_at_ = Clock::now() + options_.poll_interval;
    else
        lanes_changed_ = true;
    co_return runs;
}

awaitable<void> OutboxFeed::Impl::read_run(DueLane lane, std::size_t limit, LaneRun& result) {
    std::vector<ParkedMember> members = co_await lanes_.members(lane.aggregate_id, limit);
    result.is_empty = members.empty();
    std::vector<std::string> keys;
    keys.reserve(members.size());
    for (const ParkedMember& member : members)
        keys.push_back(member.row_key);
    std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(keys));
    Uuid last;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        FeedRow& row = rows[i];
        if (row.state == RowState::settled || row.state == RowState::dead) {
            last = row.candidate.message.message_id;
            result.settled.emplace_back(std::move(members[i]), std::move(row));
            continue;
        }
        Candidate& candidate = row.candidate;
        candidate.is_parked = true;
        if (candidate.message.state == MessageState::pending)
            candidate.message.state = MessageState::parked;
        candidate.message.aggregate_id = lane.aggregate_id;
        // One that failed before goes alone: what follows it waits for its outcome.
        const bool is_alone = candidate.message.attempts > 0;
        if (is_alone && !result.run.empty())
            co_return;
        if (!candidate.previous.is_nil() && candidate.previous != last) {
            std::vector<std::string> key{key_of(candidate.previous)};
            std::vector<FeedRow> previous = co_await read_rows(db_, tables_, std::move(key));
            if (previous.front().state == RowState::pending) {
                // It becomes a member, too, before this one is given.
                result.predecessors.push_back(std::move(previous.front().candidate));
                co_return;
            }
        }
        last = candidate.message.message_id;
        result.run.push_back(std::move(candidate));
        if (is_alone)
            co_return;
    }
}

OutboxFeed::Impl::Clock::duration OutboxFeed::Impl::idle_time() const {
    Clock::time_point end = std::min(look_at_lanes_at_, Clock::now() + lease_.until_renewal());
    end = std::min(end, walk_at_);
    if (is_tail_)
        end = std::min(end, stream_.next_read());
    for (const Candidate& candidate : pool_)
        end = std::min(end, std::max(candidate.found_at + wait_for_predecessor, Clock::now() + 10ms));
    if (next_due_)
        end = std::min(end, Clock::now() + std::chrono::ceil<std::chrono::milliseconds>(*next_due_ - now()));
    return std::max<Clock::duration>(end - Clock::now(), 1ms);
}

}  // namespace txm::dynamodb
