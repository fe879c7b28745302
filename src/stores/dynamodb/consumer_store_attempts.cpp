#include "stores/dynamodb/consumer_store_attempts.hpp"

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/outbox_row.hpp"

#include <chrono>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// Of deliveries that never come again.
constexpr std::chrono::hours kept_for{14 * 24};

std::string request_for(const std::string& table, const Item& key) {
    std::string body = R"({"TableName":)";
    append_text(body, table);
    body += R"(,"Key":)";
    append_json(body, key);
    return body;
}

int unfinished_in(const Item& item) {
    return static_cast<int>(integer_of(item, "Unfinished"));
}

Item item_in(const boost::json::object& answer, std::string_view member) {
    const auto* item = answer.if_contains(member);
    return item && item->is_object() ? item_from(item->get_object()) : Item{};
}

}  // namespace

// The request carries a mark of its own, so that one that is sent again, because no answer came, is not counted twice.
awaitable<int> count_attempt(DatabaseImpl& db, const std::string& table, Item key, bool is_alone) {
    const std::string mark = new_uuid().to_string();
    const auto expires = std::chrono::floor<std::chrono::seconds>(now() + kept_for).time_since_epoch().count();
    Item values;
    values.emplace(":one", 1);
    values.emplace(":now", now());
    values.emplace(":mark", mark);
    values.emplace(":expires", expires);
    std::string body = request_for(table, key);
    body += R"x(,"UpdateExpression":"add Unfinished :one set BeganAt = :now, BegunBy = :mark, ExpiresAt = :expires")x";
    if (is_alone)
        body += R"x(,"ConditionExpression":"attribute_not_exists(PK) or BegunBy <> :mark")x";
    else
        body += R"x(,"ConditionExpression":"attribute_not_exists(PK)")x";
    body += R"(,"ReturnValues":"UPDATED_OLD","ReturnValuesOnConditionCheckFailure":"ALL_OLD")";
    body += R"(,"ExpressionAttributeValues":)";
    append_json(body, values);
    body += '}';
    std::string refused;
    try {
        const boost::json::object answer = co_await db.request("UpdateItem", std::move(body));
        co_return unfinished_in(item_in(answer, "Attributes"));
    } catch (const aws::ServiceError& error) {
        if (error.type() != "ConditionalCheckFailedException")
            throw;
        refused = error.body();
    }
    const Item found = item_in(parse_object(refused), "Item");
    const std::string* by = text_of(found, "BegunBy");
    const bool is_own = by && *by == mark;
    co_return unfinished_in(found) - (is_own ? 1 : 0);
}

awaitable<void> forget_attempts(DatabaseImpl& db, const std::string& table, Item key) {
    co_await db.call("DeleteItem", request_for(table, key) + '}');
}

}  // namespace txm::dynamodb::detail
