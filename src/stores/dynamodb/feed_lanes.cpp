#include "stores/dynamodb/feed_lanes.hpp"

#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"

#include <utility>

namespace txm::dynamodb::detail {
namespace {

// Of a time in the key of a due lane, with what separates it from the lane.
constexpr std::size_t time_width = 32;

Query partition(const std::string& table, std::string hash, std::size_t limit) {
    Item values;
    values.emplace(":hash", std::move(hash));
    Query query{table, "PK = :hash", std::move(values)};
    query.limit = limit;
    return query;
}

}  // namespace

boost::asio::awaitable<bool> FeedLanes::any() const {
    const Query query = partition(tables_.state, "LANE", 1);
    const Page page = co_await db_.read_page(query, Item{});
    co_return !page.items.empty();
}

boost::asio::awaitable<std::optional<BlockedLane>> FeedLanes::find(AggregateId aggregate_id) const {
    const std::optional<Item> item = co_await db_.get_item(tables_.state, lane_key(aggregate_id));
    std::optional<BlockedLane> lane;
    if (item) {
        lane.emplace();
        if (const std::string* time = text_of(*item, "NextAttemptAt"))
            lane->next_attempt = try_parse_iso8601(*time);
        lane->held_sequence = integer_of(*item, "FromSequence");
        if (const std::string* id = text_of(*item, "MessageId"))
            lane->held_message = Uuid::try_parse(*id).value_or(Uuid{});
    }
    co_return lane;
}

boost::asio::awaitable<std::set<std::string>> FeedLanes::blocked(std::vector<std::string> aggregate_ids) const {
    std::vector<TableKey> keys;
    keys.reserve(aggregate_ids.size());
    for (const std::string& id : aggregate_ids)
        keys.emplace_back(tables_.state, lane_key(AggregateId(id)));
    const std::vector<std::optional<Item>> items = co_await db_.get_items(keys);
    std::set<std::string> blocked;
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (items[i])
            blocked.insert(std::move(aggregate_ids[i]));
    }
    co_return blocked;
}

boost::asio::awaitable<DueLanes> FeedLanes::due(Timestamp time, std::size_t limit) const {
    const Query query = partition(tables_.state, "DUE", limit + 1);
    const Page page = co_await db_.read_page(query, Item{});
    DueLanes result;
    for (const Item& item : page.items) {
        const std::string* range = text_of(item, "SK");
        if (!range || range->size() <= time_width)
            continue;
        const std::optional<Timestamp> at = try_parse_iso8601(std::string_view(*range).substr(0, time_width));
        if (!at)
            continue;
        if (*at > time) {
            result.next = at;
            break;
        }
        result.lanes.push_back({AggregateId(range->substr(time_width + 1)), *at});
    }
    co_return result;
}

boost::asio::awaitable<std::vector<ParkedMember>> FeedLanes::members(AggregateId aggregate_id,
                                                                     std::size_t limit) const {
    const std::string hash = "PARKED#" + aggregate_id.str();
    const Query query = partition(tables_.state, hash, limit);
    const Page page = co_await db_.read_page(query, Item{});
    std::vector<ParkedMember> members;
    for (const Item& item : page.items) {
        const std::string* range = text_of(item, "SK");
        if (!range)
            continue;
        const std::string* row_key = text_of(item, "RowKey");
        const auto id = range->find('#');
        members.push_back({state_key(hash, *range), row_key                   ? *row_key
                                                    : id == std::string::npos ? std::string{}
                                                                              : "MESSAGE#" + range->substr(id + 1)});
    }
    co_return members;
}

}  // namespace txm::dynamodb::detail
