#include "stores/dynamodb/stream_reader.hpp"

#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "stores/dynamodb/stream_record.hpp"
#include "stores/dynamodb/table_shape.hpp"
#include "stores/dynamodb/together.hpp"
#include "stores/dynamodb/transact_item.hpp"
#include "txm/error.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <exception>
#include <set>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

using namespace std::chrono_literals;

const std::string api = "DynamoDBStreams_20120810.";

// Shards come and go every few hours; one that ends is noticed at once.
constexpr auto discover_interval = 15s;

// A record that was just written is of a message that nobody has sent yet.
constexpr auto fresh_for = 5s;

// What is not the newest part of a shard has empty pages, too.
constexpr int empty_reads_at_tip = 3;

// Nor has the newest part an empty page where something is written all the time: it is what was written that shortly ago.
constexpr auto tip = 10s;

// What is in memory at once, as the service gives it: it ends an answer at 1 MB, others that speak its language do not.
constexpr std::size_t shards_at_once = 4;
constexpr std::size_t records_at_once = 2000;
constexpr std::size_t bytes_at_once = std::size_t{1} << 20;

// The table knows what a stream cannot tell now: nobody waits long for that.
aws::CallOptions soon() {
    aws::CallOptions options;
    options.max_attempts = 2;
    return options;
}

aws::ClientOptions streams_client(const DatabaseImpl& db, const FeedOptions& options) {
    aws::ClientOptions client = db.options.client;
    if (!options.streams_endpoint.empty())
        client.endpoint = options.streams_endpoint;
    return client;
}

bool is_of_type(const std::optional<aws::ServiceError>& error, std::string_view type) {
    return error && error->type() == type;
}

}  // namespace

StreamReader::StreamReader(DatabaseImpl& db, const FeedTables& tables, const FeedMemory& memory,
                           const FeedOptions& options)
    : db_(db),
      tables_(tables),
      memory_(memory),
      poll_interval_(options.poll_interval),
      client_(streams_client(db, options), aws::Service{"dynamodb", "streams.dynamodb"}) {}

boost::asio::awaitable<boost::json::object> StreamReader::call(std::string action, std::string body) {
    const aws::Response answer = co_await client_.call(api + action, std::move(body), soon());
    co_return parse_object(answer.body);
}

boost::asio::awaitable<std::optional<std::string>> StreamReader::stream_of_table() {
    std::string body = R"({"TableName":)";
    append_text(body, tables_.outbox);
    body += '}';
    const boost::json::object answer = co_await db_.request("DescribeTable", std::move(body), soon());
    std::optional<std::string> arn;
    const boost::json::value* table = answer.if_contains("Table");
    if (table && table->is_object()) {
        if (db_.options.home_region.empty() && has_replicas(table->get_object()))
            throw Error(Errc::invalid_configuration, "the table `" + tables_.outbox + "` " + replicas_refused);
        const boost::json::value* stream = table->get_object().if_contains("StreamSpecification");
        const boost::json::value* is_enabled =
            stream && stream->is_object() ? stream->get_object().if_contains("StreamEnabled") : nullptr;
        if (is_enabled && is_enabled->is_bool() && is_enabled->get_bool())
            arn = std::string(text_in(table->get_object(), "LatestStreamArn"));
    }
    co_return arn;
}

boost::asio::awaitable<bool> StreamReader::open() {
    close();
    std::optional<std::string> arn = co_await stream_of_table();
    if (!arn)
        co_return false;
    arn_ = std::move(*arn);
    std::exception_ptr failure;
    try {
        co_await discover();
        co_await load_positions();
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        close();  // half of it would be taken for the whole
        std::rethrow_exception(failure);
    }
    co_return true;
}

void StreamReader::close() {
    const std::lock_guard lock{mutex_};
    arn_.clear();
    is_renewed_ = false;
    shards_.clear();
    obsolete_.clear();
    discover_at_ = {};
}

boost::asio::awaitable<void> StreamReader::load_positions() {
    Item values;
    values.emplace(":hash", "POSITION");
    const std::vector<Item> items = co_await db_.read_all(Query{tables_.state, "PK = :hash", std::move(values)});
    const std::lock_guard lock{mutex_};
    bool is_known = false;
    for (const Item& item : items) {
        const std::string* range = text_of(item, "SK");
        const std::string* number = text_of(item, "SequenceNumber");
        if (!range || !number)
            continue;
        const bool is_of_this = range->starts_with(arn_ + '#');
        is_known = is_known || is_of_this;
        const auto shard = is_of_this ? shards_.find(std::string_view(*range).substr(arn_.size() + 1)) : shards_.end();
        if (shard == shards_.end()) {
            obsolete_.push_back(*range);
            continue;
        }
        shard->second.position = ShardPosition{*number};
        shard->second.is_finished = *number == ShardPosition::end_of_shard;
    }
    is_renewed_ = !is_known && !items.empty();
}

boost::asio::awaitable<void> StreamReader::discover() {
    std::set<std::string> listed;
    std::string last;
    do {
        std::string body = R"({"StreamArn":)";
        append_text(body, arn_);
        if (!last.empty()) {
            body += R"(,"ExclusiveStartShardId":)";
            append_text(body, last);
        }
        body += '}';
        const boost::json::object answer = co_await call("DescribeStream", std::move(body));
        const boost::json::object& stream = answer.at("StreamDescription").as_object();
        last = text_in(stream, "LastEvaluatedShardId");
        const boost::json::value* shards = stream.if_contains("Shards");
        if (!shards || !shards->is_array())
            continue;
        const std::lock_guard lock{mutex_};
        for (const boost::json::value& value : shards->get_array()) {
            const boost::json::object& json = value.as_object();
            std::string id{text_in(json, "ShardId")};
            StreamShard& shard = shards_[id];
            shard.id = id;
            shard.parent = text_in(json, "ParentShardId");
            const boost::json::value* range = json.if_contains("SequenceNumberRange");
            shard.is_closed =
                range && range->is_object() && !text_in(range->get_object(), "EndingSequenceNumber").empty();
            listed.insert(std::move(id));
        }
    } while (!last.empty());
    discover_at_ = Clock::now() + discover_interval;
    const std::lock_guard lock{mutex_};
    for (auto shard = shards_.begin(); shard != shards_.end();) {
        if (listed.contains(shard->first)) {
            ++shard;
            continue;
        }
        if (!shard->second.is_finished)
            is_lossy_ = true;
        obsolete_.push_back(arn_ + '#' + shard->first);
        shard = shards_.erase(shard);
    }
}

// Parents before children; those of which nothing is left are finished.
bool StreamReader::may_read(const StreamShard& shard) const {
    if (shard.is_finished)
        return false;
    const auto parent = shards_.find(shard.parent);
    return parent == shards_.end() || parent->second.is_finished;
}

StreamReader::Clock::time_point StreamReader::next_read() const {
    Clock::time_point next = discover_at_;
    for (const auto& [id, shard] : shards_) {
        if (may_read(shard))
            next = std::min(next, shard.next_read);
    }
    return next;
}

bool StreamReader::is_behind() const {
    const Clock::time_point time = Clock::now();
    const Timestamp oldest = now() - tip;
    return std::ranges::any_of(shards_, [&](const auto& entry) {
        const StreamShard& shard = entry.second;
        return may_read(shard) && shard.next_read <= time && shard.newest < oldest;
    });
}

boost::asio::awaitable<bool> StreamReader::read(Hear hear) {
    if (Clock::now() >= discover_at_) {
        std::optional<std::string> arn = co_await stream_of_table();
        if (!arn || *arn != arn_) {
            // The stream was made anew: the old one may have ended with records that were never read.
            is_lossy_ = true;
            const bool is_open = co_await open();
            if (!is_open)
                discover_at_ = Clock::now() + discover_interval;
        } else {
            co_await discover();
        }
    }
    std::vector<StreamShard*> due;
    const Clock::time_point now = Clock::now();
    for (auto& [id, shard] : shards_) {
        if (may_read(shard) && shard.next_read <= now)
            due.push_back(&shard);
    }
    const std::size_t limit =
        std::clamp<std::size_t>(records_at_once / std::max<std::size_t>(1, due.size()), 100, 1000);
    for (std::size_t first = 0; first < due.size(); first += shards_at_once) {
        std::vector<boost::asio::awaitable<void>> reads;
        for (std::size_t i = first; i < std::min(due.size(), first + shards_at_once); ++i)
            reads.push_back(read_shard(*due[i], limit, hear));
        co_await together(std::move(reads));
    }
    co_return is_lossy_.exchange(false);
}

boost::asio::awaitable<bool> StreamReader::take_iterator(StreamShard& shard) {
    std::string body = R"({"StreamArn":)";
    append_text(body, arn_);
    body += R"(,"ShardId":)";
    append_text(body, shard.id);
    const std::string position = shard.position.last_read();
    if (position.empty()) {
        body += R"(,"ShardIteratorType":"TRIM_HORIZON"})";
    } else {
        body += R"(,"ShardIteratorType":"AFTER_SEQUENCE_NUMBER","SequenceNumber":)";
        append_text(body, position);
        body += '}';
    }
    const boost::json::object answer = co_await call("GetShardIterator", std::move(body));
    shard.iterator = text_in(answer, "ShardIterator");
    co_return !shard.iterator.empty();
}

boost::asio::awaitable<void> StreamReader::read_shard(StreamShard& shard, std::size_t limit, const Hear& hear) {
    std::optional<aws::ServiceError> refusal;
    boost::json::object answer;
    std::size_t size = 0;
    try {
        bool has_iterator = !shard.iterator.empty();
        if (!has_iterator)
            has_iterator = co_await take_iterator(shard);
        if (has_iterator) {
            const std::size_t fitting = std::max<std::size_t>(bytes_at_once / shard.record_size, 1);
            std::string body = R"({"ShardIterator":)";
            append_text(body, shard.iterator);
            body.append(R"(,"Limit":)").append(std::to_string(std::min(limit, fitting))).append("}");
            const aws::Response response = co_await client_.call(api + "GetRecords", std::move(body), soon());
            answer = parse_object(response.body);
            size = response.body.size();
        }
    } catch (const aws::ServiceError& e) {
        refusal = e;
    }
    if (is_of_type(refusal, "ExpiredIteratorException")) {
        shard.iterator.clear();
        co_return;
    }
    if (is_of_type(refusal, "TrimmedDataAccessException")) {
        // What was there is gone; the table knows it.
        const std::lock_guard lock{mutex_};
        shard.iterator.clear();
        shard.position = ShardPosition{};
        is_lossy_ = true;
        co_return;
    }
    if (is_of_type(refusal, "ResourceNotFoundException")) {
        shard.iterator.clear();
        shard.is_finished = true;
        discover_at_ = {};
        is_lossy_ = true;
        co_return;
    }
    if (refusal)
        throw *refusal;
    const boost::json::value* records = answer.if_contains("Records");
    const bool is_empty = !records || !records->is_array() || records->get_array().empty();
    if (!is_empty) {
        for (const boost::json::value& record : records->get_array())
            take_record(shard, record.as_object(), hear);
        shard.record_size = std::max<std::size_t>(size / records->get_array().size(), 1);
    }
    shard.iterator = text_in(answer, "NextShardIterator");
    shard.empty_reads = is_empty ? shard.empty_reads + 1 : 0;
    if (shard.iterator.empty()) {
        const std::lock_guard lock{mutex_};
        shard.position.read_to_end();
        shard.is_finished = true;
        discover_at_ = {};  // it has children
        co_return;
    }
    const bool is_at_tip = shard.empty_reads >= empty_reads_at_tip;
    if (is_at_tip && !shard.is_closed) {
        shard.is_caught_up = true;
        shard.next_read = Clock::now() + poll_interval_;
    }
}

void StreamReader::take_record(StreamShard& shard, const boost::json::object& json, const Hear& hear) {
    StreamRecord record = stream_record_of(json, tables_.max_payload);
    shard.newest = record.created_at;
    std::optional<Uuid> id;
    if (record.candidate) {
        id = record.candidate->message.message_id;
        const bool is_fresh = shard.is_caught_up && record.created_at > now() - fresh_for;
        if (!is_fresh)
            record.candidate->is_read = false;  // its row may say something else by now
        hear(std::move(*record.candidate));
    }
    const auto is_open = [this](const Uuid& message_id) { return memory_.is_open(message_id); };
    const std::lock_guard lock{mutex_};
    shard.position.read(std::move(record.sequence_number), id, is_open);
}

std::vector<std::string> StreamReader::take_positions(std::size_t most) {
    const auto is_open = [this](const Uuid& message_id) { return memory_.is_open(message_id); };
    std::vector<std::string> elements;
    const std::lock_guard lock{mutex_};
    for (auto& [id, shard] : shards_) {
        if (elements.size() == most)
            return elements;
        const std::optional<std::string> news = shard.position.take_news(is_open);
        if (!news)
            continue;
        Item item = position_key(arn_, id);
        item.emplace("SequenceNumber", *news);
        elements.push_back(put_element(tables_.state, item));
    }
    while (!obsolete_.empty() && elements.size() < most) {
        elements.push_back(delete_element(tables_.state, state_key("POSITION", std::move(obsolete_.back()))));
        obsolete_.pop_back();
    }
    return elements;
}

void StreamReader::positions_failed() {
    const std::lock_guard lock{mutex_};
    for (auto& [id, shard] : shards_)
        shard.position.take_back_news();
}

}  // namespace txm::dynamodb::detail
