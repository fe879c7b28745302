#include "core/fault_point.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "stores/dynamodb/table_name.hpp"
#include "stores/dynamodb/table_shape.hpp"
#include "txm/dynamodb.hpp"
#include "txm/error.hpp"

#include <optional>
#include <utility>

namespace txm::dynamodb {
namespace {

using detail::DatabaseImpl;
using detail::TableShape;

constexpr std::chrono::milliseconds shortest_wait{50}, longest_wait{2'000};
constexpr std::chrono::minutes longest_making{10};

std::string named(const std::string& table) {
    std::string body = R"({"TableName":)";
    detail::append_text(body, table);
    body += '}';
    return body;
}

/// What DescribeTable says; none when there is no such table.
awaitable<std::optional<boost::json::object>> describe(DatabaseImpl& db, const std::string& table) {
    std::optional<boost::json::object> described;
    try {
        const boost::json::object answer = co_await db.request("DescribeTable", named(table));
        described = answer.at("Table").as_object();
    } catch (const Error& error) {
        if (error.code() != Errc::schema_missing)
            throw;
    }
    co_return described;
}

/// Waits until the table can be used. @returns what DescribeTable says of it then
awaitable<boost::json::object> wait_until_active(DatabaseImpl& db, const std::string& table) {
    const auto deadline = std::chrono::steady_clock::now() + longest_making;
    for (std::chrono::milliseconds wait = shortest_wait;; wait = std::min(wait * 2, longest_wait)) {
        std::optional<boost::json::object> described = co_await describe(db, table);
        if (described) {
            const std::string_view status = detail::text_in(*described, "TableStatus");
            if (status == "ACTIVE" || status == "UPDATING")
                co_return std::move(*described);
            if (status != "CREATING")
                throw Error(Errc::store_unavailable, "the table `" + table + "` cannot be used, its status is " +
                                                         std::string(status) + ": try again when that is over");
        }
        if (std::chrono::steady_clock::now() > deadline)
            throw Error(Errc::store_unavailable,
                        "the table `" + table + "` is still being made after 10 minutes: look at it in the console");
        co_await detail::pause(wait);
    }
}

/// @returns false when somebody else made it meanwhile
awaitable<bool> create(DatabaseImpl& db, const TableShape& shape) {
    fault::point("dynamodb.create_table");
    try {
        co_await db.call("CreateTable", detail::create_request(shape));
    } catch (const aws::ServiceError& error) {
        if (error.type() != "ResourceInUseException")
            throw;
        // It is ours all the same when the answer to an attempt of ours was lost.
        co_return error.unanswered() > 0;
    }
    co_return true;
}

void check(const DatabaseImpl& db, const TableShape& shape, const boost::json::object& described) {
    std::vector<std::string> found = detail::differences(shape, described);
    if (db.options.home_region.empty() && detail::has_replicas(described))
        found.emplace_back("it ").append(detail::replicas_refused);
    if (found.empty())
        return;
    std::string what = "the table `" + shape.name + "` exists and is not as txm needs it: ";
    for (const std::string& difference : found)
        what += difference + (&difference == &found.back() ? "" : "; ");
    throw Error(Errc::invalid_configuration, what + ". Nothing was changed: mend it, or use a table of another name");
}

awaitable<bool> expires(DatabaseImpl& db, const std::string& table) {
    const boost::json::object answer = co_await db.request("DescribeTimeToLive", named(table));
    const auto* description = answer.if_contains("TimeToLiveDescription");
    const std::string_view status =
        description && description->is_object() ? detail::text_in(description->get_object(), "TimeToLiveStatus") : "";
    co_return status == "ENABLED" || status == "ENABLING";
}

/// @param is_own the table is txm's own: what a process that was killed left undone is done
awaitable<void> create_or_check(DatabaseImpl& db, TableShape shape, bool is_own) {
    bool is_made = false;
    const std::optional<boost::json::object> there = co_await describe(db, shape.name);
    if (!there)
        is_made = co_await create(db, shape);
    const boost::json::object described = co_await wait_until_active(db, shape.name);
    check(db, shape, described);
    if (!shape.expires || !(is_made || is_own))
        co_return;
    if (!is_made) {
        const bool does_expire = co_await expires(db, shape.name);
        if (does_expire)
            co_return;
    }
    fault::point("dynamodb.enable_expiry");
    std::string body = R"({"TableName":)";
    detail::append_text(body, shape.name);
    body += R"(,"TimeToLiveSpecification":{"Enabled":true,"AttributeName":"ExpiresAt"}})";
    co_await db.call("UpdateTimeToLive", std::move(body));
}

}  // namespace

// The state table first: without it, an outbox is taken for one that was there before txm. It also keeps in mind that the
// outbox is being made, lest one that was made by a process that was killed never expires.
awaitable<void> create_outbox_table(Database& db, std::string table, std::string state_table) {
    const std::string state = detail::state_table_name(table, state_table);
    const TableShape shape = detail::outbox_shape(table);
    const std::optional<boost::json::object> there = co_await describe(db.impl(), table);
    if (there)
        check(db.impl(), shape, *there);
    co_await create_or_check(db.impl(), detail::state_shape(state), true);
    const Item mark = detail::state_key("META", "MAKING#" + table);
    bool is_own = false;
    if (there) {
        const std::optional<Item> found = co_await db.impl().get_item(state, mark);
        is_own = found.has_value();
    } else {
        Session session{db};
        session.put(state, mark);
        co_await session.commit();
        is_own = true;
    }
    co_await create_or_check(db.impl(), shape, is_own);
    if (!is_own)
        co_return;
    Session session{db};
    session.remove(state, mark);
    co_await session.commit();
}

awaitable<void> create_inbox_table(Database& db, std::string table) {
    co_await create_or_check(db.impl(), detail::inbox_shape(table), false);
}

}  // namespace txm::dynamodb
