#include "core/fault_point.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/feed_elements.hpp"
#include "stores/dynamodb/feed_rows.hpp"
#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/step_chain.hpp"
#include "stores/dynamodb/step_marks.hpp"
#include "stores/dynamodb/stream_record.hpp"
#include "stores/dynamodb/table_name.hpp"
#include "txm/dynamodb_feed.hpp"
#include "txm/error.hpp"
#include "txm/outbox_writer.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace txm::dynamodb {

using namespace detail;

namespace {

// Of one PublishBatch.
constexpr std::size_t most_in_batch = 512;

// Of which only the keys were known, when it is their turn. A row has at most 400 kB.
constexpr std::size_t rows_at_once = 64;

/// A record of the event, and the message that it is about.
struct Heard {
    std::string sequence_number;
    Uuid message_id;
};

bool can_be_sent(const StoredMessage& message, std::size_t max_payload) {
    if (message.state == MessageState::dead)
        return false;
    try {
        validate(message, max_payload);
        return true;
    } catch (const Error&) {
        return false;
    }
}

}  // namespace

class StreamStep::Impl {
public:
    Impl(Database& db, Publisher& publisher, FeedOptions options)
        : db_(db.impl()),
          publisher_(publisher),
          tables_{checked_table_name(options.table), state_table_name(options.table, options.state_table),
                  options.compat, options.max_payload},
          lanes_(db_, tables_),
          elements_(tables_, options.retention),
          marks_(db_, tables_, lanes_, elements_) {}

    awaitable<std::string> run(std::string event);

private:
    /// What one event is about: messages by aggregate, in the order in which they must be sent.
    struct Work {
        std::vector<Heard> heard;
        std::map<std::string, std::deque<Candidate>> lanes;
        std::unordered_set<Uuid> left;  // of the event: waits, and may not be forgotten
        std::set<std::string> stopped;  // aggregates with a message that was not taken: not before the next start
        std::size_t sent = 0;
    };

    std::vector<std::string> read_event(const std::string& event, Work& work) const;
    awaitable<std::vector<Candidate>> pending_among(std::vector<std::string> row_keys) const;
    awaitable<std::set<std::string>> blocked_of(std::set<std::string> aggregate_ids) const;
    awaitable<void> drop_blocked(std::vector<Candidate>& candidates, Work& work) const;
    awaitable<std::vector<std::string>> run_some(std::vector<std::string> row_keys, Work& work);
    awaitable<void> send(std::vector<Candidate> candidates, Work& work);
    awaitable<void> read_next(Work& work) const;
    awaitable<void> publish(Work& work);

    DatabaseImpl& db_;
    Publisher& publisher_;
    const FeedTables tables_;
    const FeedLanes lanes_;
    const FeedElements elements_;
    const StepMarks marks_;
};

// Gives the keys of the rows that the event is about.
std::vector<std::string> StreamStep::Impl::read_event(const std::string& event, Work& work) const {
    constexpr const char* wrong = "this is no event of a DynamoDB stream: it needs an array `Records`";
    std::vector<std::string> keys;
    boost::json::error_code problem;
    const boost::json::value json = boost::json::parse(event, problem);
    const boost::json::object* object = problem ? nullptr : json.if_object();
    const boost::json::value* records = object ? object->if_contains("Records") : nullptr;
    if (!records || !records->is_array())
        throw Error(Errc::invalid_message, wrong);
    std::set<std::string> known;
    for (const boost::json::value& value : records->get_array()) {
        const boost::json::object* json_record = value.if_object();
        if (!json_record)
            throw Error(Errc::invalid_message, wrong);
        StreamRecord record = stream_record_of(*json_record, tables_.max_payload);
        if (!record.candidate)
            continue;
        work.heard.push_back({std::move(record.sequence_number), record.candidate->message.message_id});
        if (known.insert(record.candidate->row_key).second)
            keys.push_back(std::move(record.candidate->row_key));
    }
    return keys;
}

// The event may be old, and others may relay: what a row says now counts.
awaitable<std::vector<Candidate>> StreamStep::Impl::pending_among(std::vector<std::string> row_keys) const {
    std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(row_keys));
    std::vector<Candidate> candidates;
    for (FeedRow& row : rows) {
        if (row.state == RowState::pending)
            candidates.push_back(std::move(row.candidate));
    }
    co_return candidates;
}

// The relay that blocked a lane goes on with it, and takes the messages that are left to it to the others that wait there.
awaitable<std::set<std::string>> StreamStep::Impl::blocked_of(std::set<std::string> aggregate_ids) const {
    std::set<std::string> blocked;
    if (aggregate_ids.empty())
        co_return blocked;
    const bool are_any = co_await lanes_.any();
    if (!are_any)
        co_return blocked;
    std::vector<std::string> ids(aggregate_ids.begin(), aggregate_ids.end());
    blocked = co_await lanes_.blocked(std::move(ids));
    co_return blocked;
}

awaitable<void> StreamStep::Impl::drop_blocked(std::vector<Candidate>& candidates, Work& work) const {
    std::set<std::string> asked;
    for (const Candidate& candidate : candidates)
        asked.insert(candidate.message.aggregate_id.str());
    const std::set<std::string> blocked = co_await blocked_of(std::move(asked));
    std::erase_if(candidates, [&](const Candidate& candidate) {
        const bool is_blocked = blocked.contains(candidate.message.aggregate_id.str());
        if (is_blocked)
            work.left.erase(candidate.message.message_id);
        return is_blocked;
    });
}

// Gives the keys that have to be left for the next time, when that may come further.
awaitable<std::vector<std::string>> StreamStep::Impl::run_some(std::vector<std::string> row_keys, Work& work) {
    const std::size_t asked = row_keys.size(), sent_before = work.sent;
    for (const std::string& key : row_keys)
        work.left.erase(message_id_of(key));
    std::vector<Candidate> candidates = co_await pending_among(std::move(row_keys));
    for (const Candidate& candidate : candidates)
        work.left.insert(candidate.message.message_id);
    // What is blocked need not be looked for. It is asked for again before anything is sent: that takes its time.
    co_await drop_blocked(candidates, work);
    StepChain chain{db_, tables_};
    std::vector<Candidate> open = co_await chain.add_near(candidates);
    co_await send(std::move(candidates), work);
    std::vector<std::string> later;
    if (open.empty())
        co_return later;
    std::vector<Candidate> ready = co_await chain.find_starts(open);
    co_await send(std::move(ready), work);
    for (Candidate& candidate : open) {
        if (work.left.contains(candidate.message.message_id) &&
            !work.stopped.contains(candidate.message.aggregate_id.str()))
            later.push_back(std::move(candidate.row_key));
    }
    if (work.sent == sent_before && later.size() == asked)
        later.clear();
    co_return later;
}

awaitable<void> StreamStep::Impl::send(std::vector<Candidate> candidates, Work& work) {
    co_await drop_blocked(candidates, work);
    for (Candidate& candidate : candidates)
        work.lanes[candidate.message.aggregate_id.str()].push_back(std::move(candidate));
    co_await publish(work);
}

awaitable<std::string> StreamStep::Impl::run(std::string event) {
    Work work;
    std::vector<std::string> keys = read_event(event, work);
    while (!keys.empty())
        keys = co_await run_some(std::move(keys), work);
    // Lambda goes on from there with all that follows.
    const auto failed =
        std::ranges::find_if(work.heard, [&](const Heard& heard) { return work.left.contains(heard.message_id); });
    std::string answer = R"({"batchItemFailures":[)";
    if (failed != work.heard.end()) {
        answer += R"({"itemIdentifier":)";
        append_text(answer, failed->sequence_number);
        answer += '}';
    }
    co_return answer + "]}";
}

// Reads the rows of those of which only the keys are known and whose turn it is: a run of a lane, or one of each of many.
awaitable<void> StreamStep::Impl::read_next(Work& work) const {
    std::vector<std::string> asked, keys;
    for (const auto& [aggregate_id, lane] : work.lanes) {
        if (!lane.front().is_read && asked.size() < rows_at_once)
            asked.push_back(aggregate_id);
    }
    if (asked.empty())
        co_return;
    const std::size_t run = rows_at_once / asked.size();
    for (const std::string& aggregate_id : asked) {
        const std::deque<Candidate>& lane = work.lanes.find(aggregate_id)->second;
        for (std::size_t i = 0; i < std::min(run, lane.size()) && !lane[i].is_read; ++i)
            keys.push_back(lane[i].row_key);
    }
    std::vector<FeedRow> rows = co_await read_rows(db_, tables_, std::move(keys));
    std::set<std::string> stopped;
    std::size_t number = 0;
    for (const std::string& aggregate_id : asked) {
        std::deque<Candidate>& lane = work.lanes.find(aggregate_id)->second;
        for (std::size_t i = 0; i < std::min(run, lane.size()) && !lane[i].is_read; ++i) {
            FeedRow& row = rows[number++];
            if (row.state == RowState::pending) {
                lane[i] = std::move(row.candidate);
                continue;
            }
            work.left.erase(lane[i].message.message_id);
            lane[i].is_read = true;
            lane[i].row_key.clear();  // somebody sent it, deleted it, or gave it up
            if (row.state != RowState::settled)
                stopped.insert(aggregate_id);
        }
        std::erase_if(lane, [](const Candidate& candidate) { return candidate.row_key.empty(); });
        if (lane.empty())
            work.lanes.erase(aggregate_id);
    }
    const std::set<std::string> blocked = co_await blocked_of(std::move(stopped));
    for (const std::string& aggregate_id : blocked) {
        const auto lane = work.lanes.find(aggregate_id);
        if (lane == work.lanes.end())
            continue;
        for (const Candidate& candidate : lane->second)
            work.left.erase(candidate.message.message_id);
        work.lanes.erase(lane);
    }
}

// One message of an aggregate at a time; what follows one that the broker did not take stays.
awaitable<void> StreamStep::Impl::publish(Work& work) {
    while (!work.lanes.empty()) {
        co_await read_next(work);
        std::vector<StoredMessage> messages;
        std::vector<GivenMessage> given;
        for (auto lane = work.lanes.begin(); lane != work.lanes.end() && messages.size() < most_in_batch;) {
            Candidate& first = lane->second.front();
            if (!first.is_read) {
                ++lane;
                continue;
            }
            if (!can_be_sent(first.message, tables_.max_payload)) {
                // A relay makes it a dead letter; there is nothing that trying it again could change.
                work.left.erase(first.message.message_id);
                work.stopped.insert(lane->first);
                lane = work.lanes.erase(lane);
                continue;
            }
            given.emplace_back(first);
            messages.push_back(std::move(first.message));
            lane->second.pop_front();
            ++lane;
        }
        if (messages.empty())
            continue;
        PublishBatch batch{messages};
        std::exception_ptr unreachable;
        try {
            fault::point("dynamodb_step.publish");
            co_await publisher_.publish(batch);
        } catch (...) {
            unreachable = std::current_exception();
        }
        std::vector<GivenMessage> acknowledged;
        for (std::size_t i = 0; i < given.size(); ++i) {
            const auto lane = work.lanes.find(given[i].aggregate_id.str());
            const bool is_acknowledged = batch.report(i) == PublishBatch::Report::acknowledged;
            if (is_acknowledged)
                acknowledged.push_back(given[i]);
            else
                work.stopped.insert(lane->first);
            if (!is_acknowledged || lane->second.empty())
                work.lanes.erase(lane);
        }
        for (const GivenMessage& message : acknowledged)
            work.left.erase(message.message_id);
        work.sent += acknowledged.size();
        co_await marks_.write(std::move(acknowledged));
        if (unreachable)
            std::rethrow_exception(unreachable);
    }
}

StreamStep::StreamStep(Database& db, Publisher& publisher, FeedOptions options)
    : impl_(std::make_shared<Impl>(db, publisher, std::move(options))) {}

StreamStep::~StreamStep() = default;

awaitable<std::string> StreamStep::run(std::string event) {
    return impl_->run(std::move(event));
}

}  // namespace txm::dynamodb
