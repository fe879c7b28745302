#pragma once

#include "common/aws.hpp"
#include "orders/orders.hpp"

#include <txm/dynamodb.hpp>
#include <txm/dynamodb_feed.hpp>
#include <txm/sync_wait.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

/// Where *orders* meets DynamoDB, SNS and SQS. Another store and broker are another file like this, and no other change.
namespace demo::orders {

/// The service's own table: hash key Part, a text; range key Id, a number. Orders are spread over ten partitions by the
/// last digit of their ids. Because DynamoDB does not count, each transaction also adds to a counter, of a hundred, so
/// that few transactions meet at one.
inline constexpr const char* table = "orders";

inline std::string part_of(std::int64_t id) {
    return "orders#" + std::to_string(id % 10);
}

class DynamodbOrderRepository final : public OrderRepository {
public:
    explicit DynamodbOrderRepository(txm::dynamodb::Session& session) : session_(session) {}

    void place(const Order& order) override {
        session_.add(txm::dynamodb::Write::put(table, {{"Part", part_of(order.id)},
                                                       {"Id", order.id},
                                                       {"Customer", order.customer},
                                                       {"Cents", order.cents},
                                                       {"Outcome", "open"}})
                         .when("attribute_not_exists(Id)", OrderAlreadyPlacedError{order.id}));
    }
    void complete(std::int64_t id) override { decide(id, "completed"); }
    void cancel(std::int64_t id) override { decide(id, "cancelled"); }

private:
    void decide(std::int64_t id, const std::string& outcome) {
        session_.add(txm::dynamodb::Write::update(table, {{"Part", part_of(id)}, {"Id", id}}, "set Outcome = :outcome")
                         .values({{":outcome", outcome}, {":open", "open"}})
                         .when("Outcome = :open", OrderNotOpenError{id}));
        session_.add(txm::dynamodb::Write::update(table, {{"Part", "tally"}, {"Id", id % 100}}, "add #outcome :one")
                         .values({{":one", 1}})
                         .names({{"#outcome", outcome}}));
    }

    txm::dynamodb::Session& session_;
};

class DynamodbProgressRepository final : public ProgressRepository {
public:
    explicit DynamodbProgressRepository(txm::dynamodb::Session& session) : session_(session) {}

    void advance(std::int64_t lane, std::int64_t line) override {
        session_.update(table, {{"Part", "progress"}, {"Id", lane}}, "set Line = :line add Placed :one",
                        {{":line", line}, {":one", 1}});
    }

private:
    txm::dynamodb::Session& session_;
};

class DynamodbUnitOfWork final : public UnitOfWork {
public:
    DynamodbUnitOfWork(txm::dynamodb::Database& db, const AwsUrl& store, std::optional<txm::Incoming> incoming)
        : UnitOfWork(std::move(incoming)),
          session_(db),
          inbox_(store.option("inbox", "inbox"), session_),
          events_(store.name, session_, topics()) {}

    txm::dynamodb::Session& session() override { return session_; }
    txm::InboxRepository& inbox() override { return inbox_; }
    OrderRepository& orders() override { return orders_; }
    ProgressRepository& progress() override { return progress_; }
    txm::OutboxWriter& events() override { return events_; }

private:
    txm::dynamodb::Session session_;  // first: the repositories hold on to it
    txm::dynamodb::InboxRepository inbox_;
    DynamodbOrderRepository orders_{session_};
    DynamodbProgressRepository progress_{session_};
    txm::dynamodb::OutboxRepository events_;
};

class Wiring {
public:
    static constexpr const char* consumer = "orders";

    /// Takes the store from TXM_STORE, where `txm migrate` has run and the service's own table is.
    Wiring() = default;

    std::unique_ptr<UnitOfWork> unit_of_work(std::optional<txm::Incoming> incoming = {}) {
        return std::make_unique<DynamodbUnitOfWork>(db_, url_, std::move(incoming));
    }

    /// The answers of the customers service, from the broker that TXM_BROKER names.
    std::unique_ptr<txm::Subscription> answers() { return subscribe_behind_sns("credit", consumer); }

    txm::ConsumerStore& store() { return store_; }

    /// The last line that each lane has committed.
    std::map<std::int64_t, std::int64_t> progress() {
        std::map<std::int64_t, std::int64_t> result;
        for (const auto& item : items("progress"))
            result[item.at("Id").integer()] = item.at("Line").integer();
        return result;
    }

    /// How many orders are open, completed, cancelled.
    std::map<std::string, std::int64_t> counts() {
        std::map<std::string, std::int64_t> result{{"completed", 0}, {"cancelled", 0}};
        for (const auto& item : items("tally")) {
            for (auto& [outcome, count] : result) {
                if (const auto found = item.find(outcome); found != item.end())
                    count += found->second.integer();
            }
        }
        std::int64_t placed = 0;
        for (const auto& item : items("progress"))
            placed += item.at("Placed").integer();
        result["open"] = placed - result["completed"] - result["cancelled"];
        return result;
    }

    /// One line an order: its id and its outcome, in the order of the ids.
    void print_outcomes(std::ostream& out) {
        std::map<std::int64_t, std::string> outcomes;
        for (std::int64_t digit = 0; digit < 10; ++digit) {
            for (const auto& item : items(part_of(digit)))
                outcomes[item.at("Id").integer()] = item.at("Outcome").text();
        }
        for (const auto& [id, outcome] : outcomes)
            out << id << ' ' << outcome << '\n';
    }

private:
    std::vector<txm::dynamodb::Item> items(const std::string& part) {
        txm::dynamodb::Session session{db_};
        return txm::sync_wait(session.query(txm::dynamodb::Query{table, "Part = :part", {{":part", part}}}));
    }

    AwsUrl url_ = aws_url_from_environment("TXM_STORE", "dynamodb");
    txm::dynamodb::Database db_{txm::dynamodb::DatabaseOptions{url_.client()}};
    txm::dynamodb::ConsumerStore store_{db_, consumer, url_.option("inbox", "inbox"), url_.name + "-txm"};
};

}  // namespace demo::orders
