#include "stores/dynamodb/limits.hpp"

#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/write_text.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

/// Names and values of a row that do not depend on the message, and room for its numbers.
constexpr std::size_t row_overhead = 400;

std::size_t size_of_row(const StoredMessage& message) {
    std::size_t size = row_overhead + message.payload.size() + message.topic.size() + message.type.size() +
                       message.aggregate_id.str().size();
    for (const auto& [name, value] : message.headers)
        size += 1 + name.size() + value.size();
    return size;
}

[[noreturn]] void refuse(const std::string& what) {
    throw Error(Errc::statement_failed, what + "; nothing was sent");
}

/// Of what it stores; 0 where that is known only to the service.
std::size_t size_of_write(const StagedWrite& write) {
    if (const auto* sent = std::get_if<OutboxRow>(&write))
        return size_of_row(sent->message);
    const auto* user = std::get_if<Write>(&write);
    const auto target = user ? WriteText::target(*user) : std::nullopt;
    return target && target->is_put ? size_of(target->item) : 0;
}

/// The names of the attributes that are a table's key; empty when they cannot be told.
awaitable<std::vector<std::string>> key_names(DatabaseImpl& db, std::string table) {
    std::vector<std::string> names = db.known_key(table);
    if (!names.empty())
        co_return names;
    try {
        std::string body = R"({"TableName":)";
        append_text(body, table);
        body += '}';
        const boost::json::object answer = co_await db.request("DescribeTable", std::move(body));
        for (const boost::json::value& key : answer.at("Table").at("KeySchema").as_array())
            names.emplace_back(text_in(key.as_object(), "AttributeName"));
        db.learn_key(table, names);
    } catch (const Error&) {
        // Not allowed to, or the table is missing: then the transaction itself will tell.
    }
    co_return names;
}

}  // namespace

void check_row(const StoredMessage& message, const OutboxTable& table) {
    const auto refused = [&message](const std::string& why) {
        return Error(Errc::invalid_message,
                     "message " + message.message_id.to_string() + " cannot be published: " + why, message.message_id);
    };
    if (table.compat && !Uuid::try_parse(message.aggregate_id.str()))
        throw refused("its aggregate_id '" + message.aggregate_id.str().substr(0, 64) +
                      "' is not a UUID, and programs that share the table read it as one: give it a UUID, or set "
                      "compat = false when no such program is left");
    // A lane that is blocked is kept under them, behind a time, in a range key of 1,024 bytes.
    if (const std::size_t size = message.topic.size() + message.aggregate_id.str().size(); size > most_lane_bytes)
        throw refused("its topic and aggregate_id have " + std::to_string(size) +
                      " bytes, and keys of DynamoDB hold 900 of them: use shorter ones");
    if (const std::size_t size = size_of_row(message); size > most_item_bytes)
        throw refused("its row has " + std::to_string(size) +
                      " bytes, and an item of DynamoDB has 400 kB (409,600) at most: store large data elsewhere and "
                      "send a reference to it");
}

void check_sizes(const Transaction& transaction) {
    if (transaction.size() > most_elements)
        refuse("the transaction has " + std::to_string(transaction.size()) + " elements (" +
               std::to_string(transaction.writes().size()) + " staged ones, inbox rows included, and " +
               std::to_string(transaction.size() - transaction.writes().size()) +
               " counters of aggregates), and DynamoDB takes 100: split the work");
    // JSON is never shorter than what it stands for.
    if (transaction.bytes().size() <= most_item_bytes)
        return;
    std::size_t all = 0;
    for (const StagedWrite& write : transaction.writes()) {
        const std::size_t size = size_of_write(write);
        all += size;
        if (const auto* user = std::get_if<Write>(&write); user && size > most_item_bytes)
            refuse(
                WriteText::description(*user) + " has " + std::to_string(size) +
                " bytes, and an item of DynamoDB has 400 kB (409,600) at most: store large data elsewhere and keep a "
                "reference to it");
    }
    if (all > most_transaction_bytes)
        refuse("the items of the transaction have " + std::to_string(all) +
               " bytes, and DynamoDB takes 4 MB (4,194,304): split the work");
}

bool may_write_twice(const Transaction& transaction) {
    std::vector<std::string> tables;
    const auto is_first = [&tables](const std::string& table) {
        if (std::find(tables.begin(), tables.end(), table) != tables.end())
            return false;
        tables.push_back(table);
        return true;
    };
    for (const StagedWrite& write : transaction.writes()) {
        if (const auto* sent = std::get_if<OutboxRow>(&write)) {
            if (!is_first(sent->table->name))
                return true;
        } else if (const auto* received = std::get_if<InboxRow>(&write)) {
            if (!is_first(received->table))
                return true;
        } else if (const std::string table = WriteText::table(std::get<Write>(write));
                   table.empty() || !is_first(table)) {
            return true;
        }
    }
    for (const auto& [table, key] : transaction.counter_keys()) {
        if (std::find(tables.begin(), tables.end(), table) != tables.end())
            return true;
    }
    return false;
}

awaitable<void> check_targets(const Transaction& transaction, DatabaseImpl& db) {
    std::set<std::string> seen;
    const auto take = [&seen](const std::string& table, const Item& key) {
        std::string name = table + ' ';
        append_json(name, key);
        if (!seen.insert(std::move(name)).second) {
            std::string text;
            append_json(text, key);
            refuse("the transaction writes twice to the item " + text + " in the table `" + table +
                   "`, and DynamoDB takes one write to an item: put both into one");
        }
    };
    for (const auto& [table, key] : transaction.counter_keys())
        take(table, key);
    for (const StagedWrite& write : transaction.writes()) {
        if (const auto* sent = std::get_if<OutboxRow>(&write)) {
            take(sent->table->name, outbox_key(sent->message.message_id));
            continue;
        }
        if (const auto* received = std::get_if<InboxRow>(&write)) {
            take(received->table, inbox_key(received->incoming.message_id, received->consumer));
            continue;
        }
        const auto target = WriteText::target(std::get<Write>(write));
        if (!target)
            continue;
        if (!target->is_put) {
            take(target->table, target->item);
            continue;
        }
        const std::vector<std::string> names = co_await key_names(db, target->table);
        Item key;
        for (const std::string& name : names) {
            if (const auto found = target->item.find(name); found != target->item.end())
                key.insert(*found);
        }
        if (!key.empty())
            take(target->table, key);
    }
}

}  // namespace txm::dynamodb::detail
