#pragma once

#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "support/server.hpp"
#include "txm/dynamodb.hpp"
#include "txm/error.hpp"
#include "txm/sync_wait.hpp"
#include "txm/unit_of_work.hpp"

#include <gtest/gtest.h>

#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace txm::test {

struct Noted {
    Uuid message_id = new_uuid();
    Uuid correlation_id{};
    AggregateId aggregate_id = "a";
    Timestamp created_at = now();
    std::string text = "{}";
    std::string serialize() const { return text; }
};

inline const TopicMap& topics() {
    static const TopicMap map{topic<Noted>("notes", "noted")};
    return map;
}

inline dynamodb::DatabaseOptions options_for(const std::string& endpoint) {
    dynamodb::DatabaseOptions options;
    options.client.region = "eu-west-1";
    options.client.endpoint = endpoint;
    options.client.credentials = aws::Credentials{"test", "test"};
    return options;
}

/// Tables of their own for each test, on a server that the test program shares.
class DynamoDbSession : public testing::Test {
protected:
    DynamoDbSession() : db(std::make_unique<dynamodb::Database>(options_for(server().endpoint()))) {
        sync_wait(dynamodb::create_outbox_table(*db, outbox));
        sync_wait(dynamodb::create_inbox_table(*db, inbox));
        create_table(accounts, {"PK"});
    }

    static Server& server() { return Server::shared("dynamodb"); }

    /// A table of the application's. @param keys hash key, and range key when there is one; both are texts
    void create_table(const std::string& table, const std::vector<std::string>& keys) {
        std::string definitions, schema;
        for (const std::string& key : keys) {
            const std::string comma = definitions.empty() ? "" : ",";
            definitions += comma + R"({"AttributeName":")" + key + R"(","AttributeType":"S"})";
            schema += comma + R"({"AttributeName":")" + key + R"(","KeyType":")" + (schema.empty() ? "HASH" : "RANGE") +
                      R"("})";
        }
        call("CreateTable", R"({"TableName":")" + table + R"(","BillingMode":"PAY_PER_REQUEST","KeySchema":[)" +
                                schema + R"(],"AttributeDefinitions":[)" + definitions + "]}");
    }

    /// What another program does.
    std::string call(const std::string& action, std::string body) {
        return sync_wait(db->impl().call(action, std::move(body))).body;
    }

    std::optional<dynamodb::Item> item(const std::string& table, const dynamodb::Item& key) {
        return sync_wait(db->impl().get_item(table, key));
    }
    std::optional<dynamodb::Item> account(const std::string& id) { return item(accounts, {{"PK", id}}); }
    std::optional<dynamodb::Item> row(const Uuid& id) { return item(outbox, dynamodb::detail::outbox_key(id)); }

    std::vector<dynamodb::Item> all(const std::string& table) {
        dynamodb::Query everything{table, "", {}};
        return sync_wait(db->impl().read_all(std::move(everything)));
    }
    std::size_t count(const std::string& table) { return all(table).size(); }

    void set_credit(const std::string& id, int credit) {
        dynamodb::Session session{*db};
        session.put(accounts, {{"PK", id}, {"credit", credit}});
        sync_wait(session.commit());
    }

    const std::string suffix = new_uuid().to_string().substr(24);
    const std::string outbox = "outbox-" + suffix, inbox = "inbox-" + suffix, accounts = "accounts-" + suffix;
    std::unique_ptr<dynamodb::Database> db;
};

/// Handles one message.
class Work : public UnitOfWork {
public:
    Work(dynamodb::Database& db, const Incoming& incoming, const std::string& inbox_table,
         const std::string& outbox_table)
        : UnitOfWork(incoming), session_(db), inbox_(inbox_table, session_), events(outbox_table, session_, topics()) {}
    InboxRepository& inbox() override { return inbox_; }
    dynamodb::Session& session() override { return session_; }

private:
    dynamodb::Session session_;
    dynamodb::InboxRepository inbox_;

public:
    dynamodb::OutboxRepository events;
};

/// The error that `body` throws, or a failure of the test.
template <class E, class F>
std::optional<E> thrown_by(F&& body) {
    try {
        body();
    } catch (const E& error) {
        return error;
    } catch (const std::exception& other) {
        ADD_FAILURE() << "another error: " << other.what();
        return std::nullopt;
    }
    ADD_FAILURE() << "nothing was thrown";
    return std::nullopt;
}

}  // namespace txm::test
