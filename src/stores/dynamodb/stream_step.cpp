#include "core/fault_point.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/feed_chain.hpp"
#include "stores/dynamodb/feed_elements.hpp"
#include "stores/dynamodb/feed_rows.hpp"
#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/stream_record.hpp"
#include "stores/dynamodb/table_name.hpp"
#include "stores/dynamodb/transact.hpp"
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

// A mark is one element, or two for a message of which something else is known.
constexpr std::size_t marks_at_once = 50;

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
          elements_(tables_, options.retention) {}

    awaitable<std::string> run(std::string event);

private:
    /// What one event is about: messages by aggregate, in the order in which they must be sent.
    struct Work {
        std::vector<Heard> heard;
        std::map<std::string, std::deque<Candidate>> lanes;
        std::unordered_set<Uuid> left;  // waits, and may not be forgotten
    };

    std::vector<std::string> read_event(const std::string& event, Work& work) const;
    awaitable<std::vector<Candidate>> pending_among(std::vector<std::string> row_keys) const;
    awaitable<void> add_predecessors(std::vector<Candidate>& candidates) const;
    awaitable<void> leave_blocked_lanes(std::vector<Candidate>& candidates) const;
    awaitable<void> publish(Work& work);
    awaitable<void> mark(std::vector<GivenMessage> messages) const;

    DatabaseImpl& db_;
    Publisher& publisher_;
    const FeedTables tables_;
    const FeedLanes lanes_;
    const FeedElements elements_;
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

// Messages that wait and come before those of the event, which their own shards have not shown yet.
awaitable<void> StreamStep::Impl::add_predecessors(std::vector<Candidate>& candidates) const {
    std::unordered_set<Uuid> known;
    for (const Candidate& candidate : candidates)
        known.insert(candidate.message.message_id);
    for (std::size_t from = 0; from < candidates.size();) {
        std::vector<std::string> keys;
        for (; from < candidates.size(); ++from) {
            const Uuid& previous = candidates[from].previous;
            if (!previous.is_nil() && known.insert(previous).second)
                keys.push_back(key_of(previous));
        }
        if (keys.empty())
            co_return;
        std::vector<Candidate> earlier = co_await pending_among(std::move(keys));
        for (Candidate& candidate : earlier)
            candidates.push_back(std::move(candidate));
    }
}

// The relay that blocked a lane goes on with it, and takes these messages to the others that wait there.
awaitable<void> StreamStep::Impl::leave_blocked_lanes(std::vector<Candidate>& candidates) const {
    if (candidates.empty())
        co_return;
    const bool are_any = co_await lanes_.any();
    if (!are_any)
        co_return;
    std::set<std::string> asked;
    for (const Candidate& candidate : candidates)
        asked.insert(candidate.message.aggregate_id.str());
    std::vector<std::string> ids(asked.begin(), asked.end());
    const std::set<std::string> blocked = co_await lanes_.blocked(std::move(ids));
    std::erase_if(candidates, [&](const Candidate& c) { return blocked.contains(c.message.aggregate_id.str()); });
}

awaitable<std::string> StreamStep::Impl::run(std::string event) {
    Work work;
    std::vector<std::string> keys = read_event(event, work);
    std::vector<Candidate> candidates = co_await pending_among(std::move(keys));
    co_await add_predecessors(candidates);
    co_await leave_blocked_lanes(candidates);
    Chain::sort(candidates);
    for (Candidate& candidate : candidates) {
        work.left.insert(candidate.message.message_id);
        work.lanes[candidate.message.aggregate_id.str()].push_back(std::move(candidate));
    }
    co_await publish(work);
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

// One message of an aggregate at a time; what follows one that the broker did not take stays.
awaitable<void> StreamStep::Impl::publish(Work& work) {
    while (!work.lanes.empty()) {
        std::vector<StoredMessage> messages;
        std::vector<GivenMessage> given;
        for (auto lane = work.lanes.begin(); lane != work.lanes.end() && messages.size() < most_in_batch;) {
            Candidate& first = lane->second.front();
            if (!can_be_sent(first.message, tables_.max_payload)) {
                // A relay makes it a dead letter; there is nothing that trying it again could change.
                work.left.erase(first.message.message_id);
                lane = work.lanes.erase(lane);
                continue;
            }
            given.emplace_back(first);
            messages.push_back(std::move(first.message));
            lane->second.pop_front();
            ++lane;
        }
        if (messages.empty())
            co_return;
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
            if (!is_acknowledged || lane->second.empty())
                work.lanes.erase(lane);
        }
        for (const GivenMessage& message : acknowledged)
            work.left.erase(message.message_id);
        co_await mark(std::move(acknowledged));
        if (unreachable)
            std::rethrow_exception(unreachable);
    }
}

// Not under a lease: whoever sent a message may say so.
awaitable<void> StreamStep::Impl::mark(std::vector<GivenMessage> messages) const {
    const Timestamp time = now();
    while (!messages.empty()) {
        const std::size_t first = messages.size() - std::min(marks_at_once, messages.size());
        std::string text;
        std::vector<std::size_t> owners;
        for (std::size_t i = first; i < messages.size(); ++i) {
            for (const std::string& element : elements_.dispatched(messages[i], time, false)) {
                text.append(text.empty() ? "" : ",").append(element);
                owners.push_back(i);
            }
        }
        fault::point("dynamodb_step.mark");
        const std::vector<std::size_t> refused = co_await transact(db_, std::move(text), tables_.outbox);
        if (refused.empty()) {
            messages.resize(first);
            continue;
        }
        // Somebody deleted the row.
        std::set<std::size_t> gone;
        for (const std::size_t number : refused)
            gone.insert(owners[number]);
        for (auto i = gone.rbegin(); i != gone.rend(); ++i)
            messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(*i));
    }
}

StreamStep::StreamStep(Database& db, Publisher& publisher, FeedOptions options)
    : impl_(std::make_shared<Impl>(db, publisher, std::move(options))) {}

StreamStep::~StreamStep() = default;

awaitable<std::string> StreamStep::run(std::string event) {
    return impl_->run(std::move(event));
}

}  // namespace txm::dynamodb
