#include "stores/dynamodb/database_impl.hpp"

#include "core/backoff.hpp"
#include "stores/dynamodb/json.hpp"
#include "txm/error.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <time.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

constexpr std::string_view api = "DynamoDB_20120810.";

// It may be made at any time.
constexpr std::chrono::seconds missing_is_remembered{30};

std::chrono::nanoseconds read_boot_time() {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

/// The value of the first TableName, without looking at the rest of what may be megabytes.
std::string table_in(std::string_view body) {
    constexpr std::string_view member = R"("TableName":")";
    const std::size_t at = body.substr(0, 512).find(member);
    if (at == std::string_view::npos)
        return {};
    const std::string_view rest = body.substr(at + member.size());
    return std::string(rest.substr(0, rest.find('"')));
}

void append_names(std::string& out, const std::vector<std::pair<std::string, std::string>>& names) {
    if (names.empty())
        return;
    out += R"(,"ExpressionAttributeNames":{)";
    const char* separator = "";
    for (const auto& [placeholder, name] : names) {
        out += std::exchange(separator, ",");
        append_text(out, placeholder);
        out += ':';
        append_text(out, name);
    }
    out += '}';
}

void append_expression(std::string& out, std::string_view member, const std::string& expression) {
    if (expression.empty())
        return;
    out.append(",\"").append(member).append("\":");
    append_text(out, expression);
}

std::string page_request(const Query& query, const Item& start) {
    std::string body = R"({"TableName":)";
    append_text(body, query.table);
    append_expression(body, "IndexName", query.index);
    append_expression(body, "KeyConditionExpression", query.condition);
    append_expression(body, "FilterExpression", query.filter);
    append_names(body, query.names);
    if (!query.values.empty()) {
        body += R"(,"ExpressionAttributeValues":)";
        append_json(body, query.values);
    }
    if (query.consistent)
        body += R"(,"ConsistentRead":true)";
    if (!query.forward)
        body += R"(,"ScanIndexForward":false)";
    if (query.limit > 0)
        body.append(R"(,"Limit":)").append(std::to_string(query.limit));
    if (!start.empty()) {
        body += R"(,"ExclusiveStartKey":)";
        append_json(body, start);
    }
    body += '}';
    return body;
}

/// Which of the asked keys an item has. Answers come in any order.
class AskedKeys {
public:
    explicit AskedKeys(const std::vector<TableKey>& keys) {
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const auto [found, is_new] = positions_.try_emplace(name_of(keys[i].table, keys[i].key));
            found->second.push_back(i);
            if (is_new)
                distinct_.push_back(i);
            samples_.try_emplace(keys[i].table, &keys[i].key);
        }
    }

    const std::vector<std::size_t>& distinct() const noexcept { return distinct_; }

    /// Empty when it was not asked for.
    const std::vector<std::size_t>& positions(const std::string& table, const Item& item) const {
        static const std::vector<std::size_t> none;
        const auto sample = samples_.find(table);
        if (sample == samples_.end())
            return none;
        Item key;
        for (const auto& [name, value] : *sample->second) {
            if (const auto found = item.find(name); found != item.end())
                key.insert(*found);
        }
        const auto found = positions_.find(name_of(table, key));
        return found == positions_.end() ? none : found->second;
    }

private:
    static std::string name_of(const std::string& table, const Item& key) {
        std::string name = table;
        append_json(name, key);
        return name;
    }

    std::unordered_map<std::string, std::vector<std::size_t>> positions_;
    std::unordered_map<std::string, const Item*> samples_;
    std::vector<std::size_t> distinct_;
};

/// The body of a BatchGetItem for keys[which[i]], which may be of several tables.
std::string batch_request(const std::vector<TableKey>& keys, std::vector<std::size_t> which) {
    std::stable_sort(which.begin(), which.end(),
                     [&](std::size_t a, std::size_t b) { return keys[a].table < keys[b].table; });
    std::string body = R"({"RequestItems":{)";
    const std::string* table = nullptr;
    for (const std::size_t i : which) {
        if (!table || *table != keys[i].table) {
            if (table)
                body += "]},";
            table = &keys[i].table;
            append_text(body, *table);
            body += R"(:{"ConsistentRead":true,"Keys":[)";
        } else {
            body += ',';
        }
        append_json(body, keys[i].key);
    }
    body += "]}}}";
    return body;
}

/// What was not answered, as the body of the next request; empty when all was.
std::string rest_of(const boost::json::object& answer) {
    const auto* rest = answer.if_contains("UnprocessedKeys");
    if (!rest || !rest->is_object() || rest->get_object().empty())
        return {};
    return R"({"RequestItems":)" + boost::json::serialize(*rest) + '}';
}

}  // namespace

DatabaseImpl::DatabaseImpl(DatabaseOptions database_options)
    : options(std::move(database_options)),
      client(options.client, aws::Service{"dynamodb", "dynamodb"}),
      boot_time(read_boot_time) {
    if (!options.home_region.empty() && options.home_region != client.region())
        throw Error(Errc::invalid_configuration, "the home region of these tables is " + options.home_region +
                                                     ", and this process works in " + client.region() +
                                                     ": run it there, or correct home_region");
}

std::vector<std::string> DatabaseImpl::known_key(const std::string& table) {
    const std::scoped_lock lock{mutex_};
    const auto found = keys_.find(table);
    return found == keys_.end() ? std::vector<std::string>{} : found->second;
}

void DatabaseImpl::learn_key(const std::string& table, std::vector<std::string> names) {
    const std::scoped_lock lock{mutex_};
    keys_[table] = std::move(names);
}

bool DatabaseImpl::is_known_missing(const std::string& table) {
    const std::scoped_lock lock{mutex_};
    const auto found = missing_.find(table);
    if (found == missing_.end())
        return false;
    if (std::chrono::steady_clock::now() - found->second < missing_is_remembered)
        return true;
    missing_.erase(found);
    return false;
}

void DatabaseImpl::learn_missing(const std::string& table) {
    const std::scoped_lock lock{mutex_};
    missing_[table] = std::chrono::steady_clock::now();
}

Error missing_table(std::string_view table, const std::string& region) {
    std::string what;
    if (table.empty())
        what.append("a table that is needed");
    else
        what.append("the table `").append(table).append("`");
    what.append(" does not exist in ").append(region);
    what.append(", or is still being made: `txm migrate` makes those of txm; or check region, endpoint and name");
    return {Errc::schema_missing, what, {}, "ResourceNotFoundException"};
}

awaitable<aws::Response> DatabaseImpl::call(std::string_view action, std::string body, aws::CallOptions call_options) {
    const std::string table = table_in(body);
    try {
        co_return co_await client.call(std::string(api) + std::string(action), std::move(body), call_options);
    } catch (const aws::ServiceError& error) {
        if (error.type() == "ResourceNotFoundException")
            throw missing_table(table, client.region());
        throw;
    }
}

awaitable<boost::json::object> DatabaseImpl::request(std::string_view action, std::string body,
                                                     aws::CallOptions call_options) {
    const aws::Response answer = co_await call(action, std::move(body), call_options);
    co_return parse_object(answer.body);
}

awaitable<std::optional<Item>> DatabaseImpl::get_item(const std::string& table, const Item& key) {
    std::string body = R"({"TableName":)";
    append_text(body, table);
    body += R"(,"ConsistentRead":true,"Key":)";
    append_json(body, key);
    body += '}';
    const boost::json::object answer = co_await request("GetItem", std::move(body));
    std::optional<Item> item;
    if (const auto* found = answer.if_contains("Item"); found && found->is_object())
        item = item_from(found->get_object());
    co_return item;
}

awaitable<std::vector<std::optional<Item>>> DatabaseImpl::get_items(const std::vector<TableKey>& keys) {
    constexpr std::size_t most = 100;
    std::vector<std::optional<Item>> items(keys.size());
    const AskedKeys asked{keys};
    const std::vector<std::size_t>& distinct = asked.distinct();
    txm::detail::Backoff backoff{std::chrono::milliseconds(20), std::chrono::milliseconds(1'000)};
    for (std::size_t first = 0; first < distinct.size(); first += most) {
        const auto begin = distinct.begin() + static_cast<std::ptrdiff_t>(first);
        const auto end = begin + static_cast<std::ptrdiff_t>(std::min(most, distinct.size() - first));
        std::string body = batch_request(keys, {begin, end});
        for (int requests = 1; !body.empty(); ++requests) {
            const boost::json::object answer = co_await request("BatchGetItem", std::move(body));
            const auto* tables = answer.if_contains("Responses");
            bool has_found = false;
            if (tables && tables->is_object()) {
                for (const auto& table : tables->get_object()) {
                    const std::string name{table.key().data(), table.key().size()};
                    for (const boost::json::value& found : table.value().as_array()) {
                        const Item item = item_from(found.as_object());
                        for (const std::size_t position : asked.positions(name, item))
                            items[position] = item;
                        has_found = true;
                    }
                }
            }
            body = rest_of(answer);
            // What is too large for one answer is asked for at once, what is throttled is not.
            if (!body.empty() && !has_found)
                co_await pause(backoff.after(requests));
        }
    }
    co_return items;
}

awaitable<Page> DatabaseImpl::read_page(const Query& query, const Item& start) {
    std::string body = page_request(query, start);
    const boost::json::object answer = co_await request(query.condition.empty() ? "Scan" : "Query", std::move(body));
    Page page;
    if (const auto* found = answer.if_contains("Items"); found && found->is_array()) {
        page.items.reserve(found->get_array().size());
        for (const boost::json::value& item : found->get_array())
            page.items.push_back(item_from(item.as_object()));
    }
    if (const auto* last = answer.if_contains("LastEvaluatedKey"); last && last->is_object())
        page.last_key = item_from(last->get_object());
    co_return page;
}

awaitable<std::vector<Item>> DatabaseImpl::read_all(Query query) {
    const std::size_t wanted = query.limit;
    std::vector<Item> items;
    Item start;
    do {
        // A filter is applied after the limit of a page, so that more than one may be needed.
        query.limit = wanted > 0 ? wanted - items.size() : 0;
        Page page = co_await read_page(query, start);
        std::move(page.items.begin(), page.items.end(), std::back_inserter(items));
        start = std::move(page.last_key);
    } while (!start.empty() && (wanted == 0 || items.size() < wanted));
    co_return items;
}

awaitable<std::uint64_t> DatabaseImpl::count_all(Query query) {
    const std::string_view action = query.condition.empty() ? "Scan" : "Query";
    std::uint64_t total = 0;
    Item start;
    do {
        std::string body = page_request(query, start);
        body.pop_back();
        body += R"(,"Select":"COUNT"})";
        const boost::json::object answer = co_await request(action, std::move(body));
        total += answer.at("Count").to_number<std::uint64_t>();
        start.clear();
        if (const auto* last = answer.if_contains("LastEvaluatedKey"); last && last->is_object())
            start = item_from(last->get_object());
    } while (!start.empty());
    co_return total;
}

awaitable<void> pause(std::chrono::steady_clock::duration time) {
    boost::asio::steady_timer timer{co_await boost::asio::this_coro::executor, time};
    // Cancellation ends one wait, not the pause.
    while (timer.expiry() > std::chrono::steady_clock::now()) {
        boost::system::error_code ignored;
        co_await timer.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, ignored));
    }
}

}  // namespace txm::dynamodb::detail
