#include "support/fake_streams.hpp"

#include "stores/dynamodb/json.hpp"

#include <boost/json/parse.hpp>

#include <algorithm>
#include <ctime>
#include <stdexcept>

namespace txm::test {
namespace {

HttpAnswer refusal(const std::string& type) {
    return HttpAnswer{400,
                      R"({"__type":"com.amazonaws.dynamodb.v20120810#)" + type + R"(","message":"the test says so"})"};
}

std::string json_of(const dynamodb::Item& item) {
    std::string json;
    dynamodb::detail::append_json(json, item);
    return json;
}

std::string text(const boost::json::object& object, const char* name) {
    return std::string(dynamodb::detail::text_in(object, name));
}

}  // namespace

FakeStreams::FakeStreams() : http_([this](const HttpRequest& request) { return answer(request); }) {}

void FakeStreams::add_shard(const std::string& id, const std::string& parent) {
    const std::lock_guard lock{mutex_};
    shards_[id].parent = parent;
    shards_[id].stream = arn_;
}

void FakeStreams::end_shard(const std::string& id) {
    const std::lock_guard lock{mutex_};
    shards_.at(id).is_ended = true;
}

void FakeStreams::remove_shard(const std::string& id) {
    const std::lock_guard lock{mutex_};
    shards_.erase(id);
}

void FakeStreams::trim(const std::string& id) {
    const std::lock_guard lock{mutex_};
    shards_.at(id).trimmed = shards_.at(id).records.size();
}

void FakeStreams::expire_iterators() {
    const std::lock_guard lock{mutex_};
    ++generation_;
}

void FakeStreams::list_in_pages_of(std::size_t shards) {
    const std::lock_guard lock{mutex_};
    page_ = shards;
}

void FakeStreams::keep_busy(const std::string& id) {
    const std::lock_guard lock{mutex_};
    shards_.at(id).is_busy = true;
}

void FakeStreams::refuse_next(const std::string& action) {
    const std::lock_guard lock{mutex_};
    refused_ = "DynamoDBStreams_20120810." + action;
}

void FakeStreams::break_shard(const std::string& id) {
    const std::lock_guard lock{mutex_};
    shards_.at(id).is_broken = true;
}

void FakeStreams::mend_shard(const std::string& id) {
    const std::lock_guard lock{mutex_};
    shards_.at(id).is_broken = false;
}

void FakeStreams::disable() {
    const std::lock_guard lock{mutex_};
    for (auto& [id, shard] : shards_)
        shard.is_ended = true;
}

void FakeStreams::renew(const std::string& arn) {
    const std::lock_guard lock{mutex_};
    arn_ = arn;
}

std::string FakeStreams::add(const std::string& shard, const std::string& event, const std::string& images) {
    const std::lock_guard lock{mutex_};
    return add_locked(shards_.at(shard), event, images);
}

std::string FakeStreams::add_locked(Shard& shard, const std::string& event, const std::string& images) {
    const std::string number = std::to_string(++number_);
    shard.records.emplace_back(number, R"({"eventName":")" + event + R"(","dynamodb":{"ApproximateCreationDateTime":)" +
                                           std::to_string(std::time(nullptr)) + R"(,"SequenceNumber":")" + number +
                                           "\"," + images + "}}");
    return number;
}

std::string FakeStreams::insert(const std::string& shard, const dynamodb::Item& row) {
    return add(shard, "INSERT", R"("NewImage":)" + json_of(row));
}

std::string FakeStreams::modify(const std::string& shard, const dynamodb::Item& old_row,
                                const dynamodb::Item& new_row) {
    return add(shard, "MODIFY", R"("OldImage":)" + json_of(old_row) + R"(,"NewImage":)" + json_of(new_row));
}

std::vector<std::string> FakeStreams::starts(const std::string& shard) const {
    const std::lock_guard lock{mutex_};
    return shards_.at(shard).starts;
}

std::vector<std::string> FakeStreams::begun() const {
    const std::lock_guard lock{mutex_};
    return begun_;
}

std::size_t FakeStreams::empty_reads(const std::string& shard) const {
    const std::lock_guard lock{mutex_};
    return shards_.at(shard).empty_reads;
}

HttpAnswer FakeStreams::answer(const HttpRequest& request) {
    const std::lock_guard lock{mutex_};
    const std::string target = request.header("x-amz-target");
    if (target == refused_) {
        refused_.clear();
        return refusal("AccessDeniedException");
    }
    if (target == "DynamoDBStreams_20120810.DescribeStream")
        return describe(request.body);
    if (target == "DynamoDBStreams_20120810.GetShardIterator")
        return iterator(request.body);
    if (target == "DynamoDBStreams_20120810.GetRecords")
        return records(request.body);
    return refusal("UnknownOperationException");
}

HttpAnswer FakeStreams::describe(const std::string& body) const {
    const boost::json::object request = dynamodb::detail::parse_object(body);
    const std::string stream = arn_.empty() || text(request, "StreamArn") == arn_ ? arn_ : std::string();
    const std::string start = text(request, "ExclusiveStartShardId");
    std::string shards, last, rest;
    std::size_t listed = 0;
    for (auto next = start.empty() ? shards_.begin() : shards_.upper_bound(start); next != shards_.end(); ++next) {
        const auto& [id, shard] = *next;
        if (shard.stream != stream)
            continue;
        if (listed++ == page_) {
            rest = R"(,"LastEvaluatedShardId":")" + last + "\"";
            break;
        }
        last = id;
        shards += shards.empty() ? "" : ",";
        shards += R"({"ShardId":")" + id + R"(","SequenceNumberRange":{"StartingSequenceNumber":"1")" +
                  (shard.is_ended ? R"(,"EndingSequenceNumber":"9")" : "") + "}" +
                  (shard.parent.empty() ? "" : R"(,"ParentShardId":")" + shard.parent + "\"") + "}";
    }
    return HttpAnswer{200, R"({"StreamDescription":{"Shards":[)" + shards + "]" + rest + "}}"};
}

// An iterator is `<generation> <place> <shard>`.
HttpAnswer FakeStreams::iterator(const std::string& body) {
    const boost::json::object request = dynamodb::detail::parse_object(body);
    const std::string id = text(request, "ShardId"), number = text(request, "SequenceNumber");
    const auto found = shards_.find(id);
    if (found == shards_.end())
        return refusal("ResourceNotFoundException");
    Shard& shard = found->second;
    std::size_t place = shard.trimmed;
    if (!number.empty()) {
        place = 0;
        while (place < shard.records.size() && shard.records[place].first <= number)
            ++place;
        if (place < shard.trimmed)
            return refusal("TrimmedDataAccessException");
    }
    if (shard.starts.empty())
        begun_.push_back(id);
    shard.starts.push_back(number.empty() ? "TRIM_HORIZON" : number);
    return HttpAnswer{
        200, R"({"ShardIterator":")" + std::to_string(generation_) + " " + std::to_string(place) + " " + id + "\"}"};
}

HttpAnswer FakeStreams::records(const std::string& body) {
    const boost::json::object request = dynamodb::detail::parse_object(body);
    const std::string text_of_iterator = text(request, "ShardIterator");
    const std::size_t limit = request.at("Limit").to_number<std::size_t>();
    std::size_t used = 0;
    const int generation = std::stoi(text_of_iterator, &used);
    std::size_t place_end = 0;
    std::size_t place = std::stoul(text_of_iterator.substr(used + 1), &place_end);
    const std::string id = text_of_iterator.substr(used + 1 + place_end + 1);
    if (generation != generation_)
        return refusal("ExpiredIteratorException");
    const auto found = shards_.find(id);
    if (found == shards_.end())
        return refusal("ResourceNotFoundException");
    Shard& shard = found->second;
    if (shard.is_broken)
        return HttpAnswer{500, R"({"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"})"};
    if (place < shard.trimmed)
        return refusal("TrimmedDataAccessException");
    if (shard.is_busy)
        add_locked(shard, "REMOVE", R"("Keys":{})");
    std::string json;
    const std::size_t end = std::min(shard.records.size(), place + limit);
    for (; place < end; ++place)
        json += (json.empty() ? "" : ",") + shard.records[place].second;
    if (json.empty())
        ++shard.empty_reads;
    std::string answer = R"({"Records":[)" + json + "]";
    if (!shard.is_ended || place < shard.records.size())
        answer +=
            R"(,"NextShardIterator":")" + std::to_string(generation) + " " + std::to_string(place) + " " + id + "\"";
    return HttpAnswer{200, answer + "}"};
}

}  // namespace txm::test
