#pragma once

#include "orders/orders.hpp"

#include <txm/local.hpp>
#include <txm/sqlite.hpp>
#include <txm/sqlite_feed.hpp>
#include <txm/sync_wait.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <variant>

/// Where *orders* meets SQLite and the local: broker. Another store and broker are another file like this, and no other change.
namespace demo::orders {

class SqliteOrderRepository final : public OrderRepository {
public:
    explicit SqliteOrderRepository(txm::sqlite::Session& session) : session_(session) {}

    void place(const Order& order) override {
        session_.add(txm::Statement{"insert into orders (id, customer, cents) values (?, ?, ?) on conflict do nothing",
                                    order.id, order.customer, order.cents}
                         .expect_rows(1, OrderAlreadyPlacedError{order.id}));
    }
    void complete(std::int64_t id) override { decide(id, "completed"); }
    void cancel(std::int64_t id) override { decide(id, "cancelled"); }

private:
    void decide(std::int64_t id, const char* outcome) {
        session_.add(
            txm::Statement{"update orders set outcome = ? where id = ? and outcome = 'open'", outcome, id}.expect_rows(
                1, OrderNotOpenError{id}));
    }

    txm::sqlite::Session& session_;
};

class SqliteProgressRepository final : public ProgressRepository {
public:
    explicit SqliteProgressRepository(txm::sqlite::Session& session) : session_(session) {}

    void advance(std::int64_t lane, std::int64_t line) override {
        session_.add(
            "insert into progress (lane, line) values (?, ?) on conflict (lane) do update set line = excluded.line",
            lane, line);
    }

private:
    txm::sqlite::Session& session_;
};

class SqliteUnitOfWork final : public UnitOfWork {
public:
    explicit SqliteUnitOfWork(txm::sqlite::Database& db, std::optional<txm::Incoming> incoming = {})
        : UnitOfWork(std::move(incoming)), session_(db) {}

    txm::sqlite::Session& session() override { return session_; }
    txm::InboxRepository& inbox() override { return inbox_; }
    OrderRepository& orders() override { return orders_; }
    ProgressRepository& progress() override { return progress_; }
    txm::OutboxWriter& events() override { return events_; }

private:
    txm::sqlite::Session session_;  // first: the repositories hold on to it
    txm::sqlite::InboxRepository inbox_{"inbox", session_};
    SqliteOrderRepository orders_{session_};
    SqliteProgressRepository progress_{session_};
    txm::sqlite::OutboxRepository events_{"outbox", session_, topics()};
};

class Wiring {
public:
    static constexpr const char* consumer = "orders";

    /// Takes the store from TXM_STORE, where `txm migrate` has run, and adds the service's own tables.
    Wiring() : db_(path_from_environment("TXM_STORE", "sqlite")) {
        txm::sqlite::Session session{db_};
        session.add(
            "create table if not exists orders (id integer primary key, customer text not null, "
            "cents integer not null, outcome text not null default 'open') strict");
        session.add("create table if not exists progress (lane integer primary key, line integer not null) strict");
        txm::sync_wait(session.commit());
    }

    std::unique_ptr<UnitOfWork> unit_of_work(std::optional<txm::Incoming> incoming = {}) {
        return std::make_unique<SqliteUnitOfWork>(db_, std::move(incoming));
    }

    /// The answers of the customers service, from the broker that TXM_BROKER names.
    std::unique_ptr<txm::Subscription> answers() {
        auto subscription = std::make_unique<txm::local::Subscription>(path_from_environment("TXM_BROKER", "local"),
                                                                       std::vector<std::string>{"credit"},
                                                                       txm::local::SubscriptionOptions{consumer});
        return std::make_unique<LoggedSubscription>(std::move(subscription));
    }

    txm::ConsumerStore& store() { return store_; }

    /// The last line that each lane has committed.
    std::map<std::int64_t, std::int64_t> progress() {
        std::map<std::int64_t, std::int64_t> result;
        for (const auto& row : read("select lane, line from progress"))
            result[std::get<std::int64_t>(row.at(0))] = std::get<std::int64_t>(row.at(1));
        return result;
    }

    /// How many orders are open, completed, cancelled.
    std::map<std::string, std::int64_t> counts() {
        std::map<std::string, std::int64_t> result;
        for (const auto& row : read("select outcome, count(*) from orders group by outcome"))
            result[std::get<std::string>(row.at(0))] = std::get<std::int64_t>(row.at(1));
        return result;
    }

    /// One line an order: its id and its outcome, in the order of the ids.
    void print_outcomes(std::ostream& out) {
        for (const auto& row : read("select id, outcome from orders order by id"))
            out << std::get<std::int64_t>(row.at(0)) << ' ' << std::get<std::string>(row.at(1)) << '\n';
    }

private:
    std::vector<txm::Row> read(const std::string& sql) {
        txm::sqlite::Session session{db_};
        return txm::sync_wait(session.read(sql));
    }

    txm::sqlite::Database db_;
    txm::sqlite::ConsumerStore store_{db_, consumer};
};

}  // namespace demo::orders
