#include "stores/dynamodb/feed_impl.hpp"

#include "core/fault_point.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/together.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <exception>
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

// A stream that is not available is asked again after that, or after as long as it took to find out.
constexpr auto stream_pause = 2s;

// Of payload in memory. Beyond it the keys are enough; a row is read when it is nearly its turn. A row has at most 400 kB.
constexpr std::size_t most_bytes = std::size_t{4} << 20;
constexpr std::size_t rows_at_once = 100;

// Then what is ready is given, and what is new is heard of, before that goes on.
constexpr int rounds_at_once = 16;
// The index shows a chain's start sooner than so many questions one after the other.
constexpr int most_steps = 8;

// A lane that comes back is given in runs: long enough to be quick with a gapless broker, short enough that 100,000
// parked messages neither fill memory nor keep others waiting.
constexpr std::size_t max_run = 64;
constexpr std::size_t runs_at_once = 16;

bool is_ripe(const Candidate& candidate, std::chrono::steady_clock::time_point time) {
    return candidate.is_checked || time - candidate.found_at >= wait_for_predecessor;
}

std::size_t bytes_a_row(const std::vector<FeedRow>& rows) {
    std::size_t bytes = 0;
    for (const FeedRow& row : rows)
        bytes += row.candidate.message.payload.size();
    return std::max<std::size_t>(1, bytes / std::max<std::size_t>(1, rows.size()));
}

}  // namespace

awaitable<std::vector<StoredMessage>> OutboxFeed::Impl::read(std::size_t max, std::size_t max_bytes) {
    max = std::max<std::size_t>(1, max);
    struct Reading {
        std::shared_ptr<Impl> feed;
        ~Reading() { feed->is_reading_ = false; }
    };
    is_reading_ = true;
    const Reading reading{shared_from_this()};
    for (;;) {
        if (wait_.was_interrupted())
            co_return std::vector<StoredMessage>{};
        co_await writer_.keep_lease();
        for (Candidate& candidate : memory_.begin_read())
            pool_.push_back(std::move(candidate));
        // First: a lane that ends here is blocked no more when what came last is sorted out.
        Runs runs = co_await read_runs(max);
        std::exception_ptr failure;
        if (memory_.ready() < max && pool_.size() < most_in_pool)
            failure = co_await gather();
        const bool has_more = co_await sort_out();
        fault::point("dynamodb_feed.read");
        std::vector<StoredMessage> messages = memory_.give(std::move(runs), max, max_bytes);
        if (!messages.empty())
            co_return messages;
        if (failure)
            std::rethrow_exception(failure);
        if (is_tail_)
            co_await save_positions(false);
        if (!has_more)
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

// What was not available, though what else there is was gathered.
awaitable<std::exception_ptr> OutboxFeed::Impl::gather() {
    std::exception_ptr failure;
    if (is_tail_ && Clock::now() >= stream_at_)
        failure = co_await read_stream();
    // The index shows what the stream cannot.
    if (Clock::now() < stream_at_)
        must_walk_all();
    // While there is more to read, the stream itself shows what is in the index, in an order that needs no memory. A relay
    // that never catches up looks for what its stream may have left out all the same.
    const bool waits_for_stream = is_tail_ && !must_walk_all_ && !is_walking_all_ && stream_.is_behind() &&
                                  Clock::now() < walk_at_ + longest_behind;
    if (!waits_for_stream && (Clock::now() >= walk_at_ || !index_.is_at_start()))
        co_await walk_index();
    co_return failure;
}

awaitable<std::exception_ptr> OutboxFeed::Impl::read_stream() {
    const Clock::time_point begin = Clock::now();
    const StreamReader::Hear hear_of = [this](Candidate candidate) { hear(std::move(candidate)); };
    try {
        const bool is_lossy = co_await stream_.read(hear_of);
        if (is_lossy)
            must_walk_all();
    } catch (const Error& e) {
        if (e.code() != Errc::store_unavailable)
            throw;
        stream_at_ = Clock::now() + std::max<Clock::duration>(stream_pause, Clock::now() - begin);
        co_return std::current_exception();
    }
    const std::exception_ptr none;
    co_return none;
}

// One walk after the other, but not without a pause: the index may be slow to show what is missing.
void OutboxFeed::Impl::must_walk_all() {
    must_walk_all_ = true;
    walk_at_ = std::min(walk_at_, walked_at_ + options_.poll_interval);
}

// With a stream it finds what that did not show, without one it finds everything.
awaitable<void> OutboxFeed::Impl::walk_index() {
    const bool is_sweep = is_tail_ && stream_.is_open();
    if (index_.is_at_start()) {  // or still there, when the first page failed
        is_walking_all_ = is_walking_all_ || must_walk_all_ || !is_sweep;
        must_walk_all_ = false;
    }
    do {
        const auto min_age = is_walking_all_ ? 0ms : options_.sweep_age;
        const std::vector<std::string> keys = co_await index_.next_page(min_age, rows_of_a_page);
        for (const std::string& key : keys)
            hear(candidate_of(key));
    } while (!index_.is_at_start() && pool_.size() < rows_of_a_page && !is_sweep);
    if (!index_.is_at_start())
        co_return;
    is_walking_all_ = false;
    walked_at_ = Clock::now();
    const bool has_time = is_sweep && !must_walk_all_ && walked_at_ >= stream_at_;
    walk_at_ = walked_at_ + (has_time ? options_.sweep_interval : options_.poll_interval);
}

// Whatever the order in which members of a lane are heard of, it comes to an end, and the pool stays small. What waits for
// others is let go when it fills the pool; the index shows it again. A walk through all of the index shows the first member of
// each lane, too: nothing comes before that, one question tells so, and what was not asked for is not let go. So each walk
// gives at least one message of each lane. True when there is more to do at once.
awaitable<bool> OutboxFeed::Impl::sort_out() {
    bool is_news = !pool_.empty();
    int steps = 0;
    for (int round = 0; is_news && has_room() && round < rounds_at_once; ++round) {
        const bool has_read = co_await look_at_rows();
        co_await put_aside();
        const bool is_due = memory_.make_ready(pool_);
        let_payloads_go();
        const std::size_t before = pool_.size();
        is_news = co_await look_at_predecessors();
        is_news = is_news || has_read || is_due;
        steps += pool_.size() > before ? 1 : 0;
    }
    if (steps >= most_steps)
        must_walk_all();
    if (!is_news && pool_.size() >= most_in_pool)
        let_go_what_waits();
    co_return is_news;
}

bool OutboxFeed::Impl::has_room() const {
    return memory_.ready_bytes() < most_bytes;
}

std::size_t OutboxFeed::Impl::rows_that_fit() const {
    const std::size_t ready = std::min(memory_.ready_bytes(), most_bytes);
    return std::clamp<std::size_t>((most_bytes - ready) / row_bytes_, 1, rows_at_once);
}

void OutboxFeed::Impl::let_payloads_go() {
    pool_bytes_ = 0;
    for (Candidate& candidate : pool_) {
        const std::size_t bytes = candidate.message.payload.size();
        if (candidate.is_read && pool_bytes_ + bytes > most_bytes) {
            let_payload_go(candidate);
            candidate.is_light = true;
        } else {
            pool_bytes_ += bytes;
        }
    }
}

void OutboxFeed::Impl::let_go_what_waits() {
    const std::size_t before = pool_.size();
    std::erase_if(pool_, [this, time = Clock::now()](const Candidate& candidate) {
        if (!candidate.is_read || !is_ripe(candidate, time) || memory_.is_being_blocked(candidate.message.aggregate_id))
            return false;
        memory_.close(candidate.message.message_id);
        return true;
    });
    if (pool_.size() < before)
        must_walk_all();
}

// Reads the rows of those that were only heard of, that seem to have been given before, or whose turn it is. False when it
// read none.
awaitable<bool> OutboxFeed::Impl::look_at_rows() {
    std::vector<std::size_t> places;
    std::vector<std::string> keys;
    const std::size_t most = rows_that_fit();
    for (std::size_t i = 0; i < pool_.size() && keys.size() < most; ++i) {
        const Candidate& candidate = pool_[i];
        const bool is_unsure = !candidate.is_checked && (!candidate.is_read || memory_.is_past(candidate));
        if (is_unsure || candidate.is_due) {
            places.push_back(i);
            keys.push_back(candidate.row_key);
        }
    }
    if (places.empty())
        co_return false;
    std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(keys));
    row_bytes_ = bytes_a_row(rows);
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
    for (std::size_t i = 0; i < pool_.size(); ++i) {
        const Candidate& candidate = pool_[i];
        if (candidate.is_read && is_ripe(candidate, time) && !candidate.previous.is_nil() &&
            !memory_.is_open(candidate.previous) && !memory_.is_being_blocked(candidate.message.aggregate_id))
            places.push_back(i);
    }
    // Step by step back to its start a chain comes slowly. While the index is walked that shows it.
    const bool may_step = !is_walking_all_ && pool_.size() < most_in_pool;
    bool is_news = false;
    for (std::size_t first = 0; first < places.size();) {
        const std::size_t end = std::min(places.size(), first + rows_that_fit());
        std::vector<std::string> keys;
        for (std::size_t i = first; i < end; ++i)
            keys.push_back(key_of(pool_[places[i]].previous));
        std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(keys));
        row_bytes_ = bytes_a_row(rows);
        for (FeedRow& row : rows) {
            const Candidate& successor = pool_[places[first++]];
            if (row.state == RowState::settled || row.state == RowState::dead) {
                memory_.note_next(successor);
                is_news = true;
            } else if (may_step && row.state == RowState::pending && memory_.open(row.candidate.message.message_id)) {
                pool_.push_back(std::move(row.candidate));
                is_news = true;
            }
        }
        let_payloads_go();
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
        end = std::min(end, std::max(stream_at_, stream_.next_read()));
    for (const Candidate& candidate : pool_)
        end = std::min(end, std::max(candidate.found_at + wait_for_predecessor, Clock::now() + 10ms));
    if (next_due_)
        end = std::min(end, Clock::now() + std::chrono::ceil<std::chrono::milliseconds>(*next_due_ - now()));
    return std::max<Clock::duration>(end - Clock::now(), 1ms);
}

}  // namespace txm::dynamodb
