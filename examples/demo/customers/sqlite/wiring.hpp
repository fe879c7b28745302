#pragma once

#include "customers/customers.hpp"

#include <txm/local.hpp>
#include <txm/sqlite.hpp>
#include <txm/sqlite_feed.hpp>
#include <txm/sync_wait.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// Where *customers* meets SQLite and the local: broker. Another store and broker are another file like this, and no other change.
namespace demo::customers {

class SqliteAccountRepository final : public AccountRepository {
public:
    explicit SqliteAccountRepository(txm::sqlite::Session& session) : session_(session) {}

    txm::awaitable<Account> get(std::string customer) override {
        const auto rows =
            co_await session_.read("select reserved_cents, version from account where customer = ?", customer);
        Account account;
        account.customer = std::move(customer);
        if (!rows.empty()) {
            account.reserved_cents = std::get<std::int64_t>(rows[0].at(0));
            account.version = std::get<std::int64_t>(rows[0].at(1));
        }
        co_return account;
    }

    void reserve(const Account& account, std::int64_t cents) override {
        const auto reserved = account.reserved_cents + cents;
        auto statement =
            account.version == 0
                ? txm::Statement{"insert into account (customer, reserved_cents, version) values (?, ?, 1) "
                                 "on conflict do nothing",
                                 account.customer, reserved}
                : txm::Statement{"update account set reserved_cents = ?, version = version + 1 "
                                 "where customer = ? and version = ?",
                                 reserved, account.customer, account.version};
        session_.add(std::move(statement).expect_rows(1, AccountChangedError{account.customer}));
    }

private:
    txm::sqlite::Session& session_;
};

class SqliteUnitOfWork final : public UnitOfWork {
public:
    SqliteUnitOfWork(txm::sqlite::Database& db, std::optional<txm::Incoming> incoming)
        : UnitOfWork(std::move(incoming)), session_(db) {}

    txm::sqlite::Session& session() override { return session_; }
    txm::InboxRepository& inbox() override { return inbox_; }
    AccountRepository& accounts() override { return accounts_; }
    txm::OutboxWriter& events() override { return events_; }

private:
    txm::sqlite::Session session_;  // first: the repositories hold on to it
    txm::sqlite::InboxRepository inbox_{"inbox", session_};
    SqliteAccountRepository accounts_{session_};
    txm::sqlite::OutboxRepository events_{"outbox", session_, topics()};
};

class Wiring {
public:
    static constexpr const char* consumer = "customers";

    /// Takes the store from TXM_STORE, where `txm migrate` has run, and adds the service's own table.
    Wiring() : db_(path_from_environment("TXM_STORE", "sqlite")) {
        txm::sqlite::Session session{db_};
        session.add(
            "create table if not exists account (customer text primary key, reserved_cents integer not null, "
            "version integer not null) strict");
        txm::sync_wait(session.commit());
    }

    std::unique_ptr<UnitOfWork> unit_of_work(const txm::Incoming& incoming) {
        return std::make_unique<SqliteUnitOfWork>(db_, incoming);
    }

    /// The orders, from the broker that TXM_BROKER names.
    std::unique_ptr<txm::Subscription> orders() {
        auto subscription = std::make_unique<txm::local::Subscription>(path_from_environment("TXM_BROKER", "local"),
                                                                       std::vector<std::string>{"orders"},
                                                                       txm::local::SubscriptionOptions{consumer});
        return std::make_unique<LoggedSubscription>(std::move(subscription));
    }

    txm::ConsumerStore& store() { return store_; }

    /// One line a customer: id and reserved cents, in the order of the ids' bytes.
    void print_accounts(std::ostream& out) {
        txm::sqlite::Session session{db_};
        for (const auto& row :
             txm::sync_wait(session.read("select customer, reserved_cents from account order by customer")))
            out << std::get<std::string>(row.at(0)) << ' ' << std::get<std::int64_t>(row.at(1)) << '\n';
    }

private:
    txm::sqlite::Database db_;
    txm::sqlite::ConsumerStore store_{db_, consumer};
};

}  // namespace demo::customers
