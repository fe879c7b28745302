#pragma once

#include "common/aws.hpp"
#include "customers/customers.hpp"

#include <txm/dynamodb.hpp>
#include <txm/dynamodb_feed.hpp>
#include <txm/sync_wait.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

/// Where *customers* meets DynamoDB, SNS and SQS. Another store and broker are another file like this, and no other
/// change.
namespace demo::customers {

/// The service's own table: hash key Part, range key Customer, both texts. Accounts are spread over ten partitions by the
/// last digit of the customer.
inline constexpr const char* table = "customers";

inline txm::dynamodb::Item key_of(const std::string& customer) {
    return {{"Part", std::string("accounts#") + customer.back()}, {"Customer", customer}};
}

class DynamodbAccountRepository final : public AccountRepository {
public:
    explicit DynamodbAccountRepository(txm::dynamodb::Session& session) : session_(session) {}

    txm::awaitable<Account> get(std::string customer) override {
        auto key = key_of(customer);
        const auto item = co_await session_.get(table, std::move(key));
        Account account;
        account.customer = std::move(customer);
        if (item) {
            account.reserved_cents = item->at("ReservedCents").integer();
            account.version = item->at("Version").integer();
        }
        co_return account;
    }

    void reserve(const Account& account, std::int64_t cents) override {
        txm::dynamodb::Item values{{":cents", account.reserved_cents + cents}, {":next", account.version + 1}};
        if (account.version > 0)
            values.emplace(":version", account.version);
        session_.add(
            txm::dynamodb::Write::update(table, key_of(account.customer), "set ReservedCents = :cents, Version = :next")
                .values(std::move(values))
                .when(account.version > 0 ? "Version = :version" : "attribute_not_exists(Version)",
                      AccountChangedError{account.customer}));
    }

private:
    txm::dynamodb::Session& session_;
};

class DynamodbUnitOfWork final : public UnitOfWork {
public:
    DynamodbUnitOfWork(txm::dynamodb::Database& db, const AwsUrl& store, const txm::Incoming& incoming)
        : UnitOfWork(incoming),
          session_(db),
          inbox_(store.option("inbox", "inbox"), session_),
          events_(store.name, session_, topics()) {}

    txm::dynamodb::Session& session() override { return session_; }
    txm::InboxRepository& inbox() override { return inbox_; }
    AccountRepository& accounts() override { return accounts_; }
    txm::OutboxWriter& events() override { return events_; }

private:
    txm::dynamodb::Session session_;  // first: the repositories hold on to it
    txm::dynamodb::InboxRepository inbox_;
    DynamodbAccountRepository accounts_{session_};
    txm::dynamodb::OutboxRepository events_;
};

class Wiring {
public:
    static constexpr const char* consumer = "customers";

    /// Takes the store from TXM_STORE, where `txm migrate` has run and the service's own table is.
    Wiring() = default;

    std::unique_ptr<UnitOfWork> unit_of_work(const txm::Incoming& incoming) {
        return std::make_unique<DynamodbUnitOfWork>(db_, url_, incoming);
    }

    /// The orders, from the broker that TXM_BROKER names.
    std::unique_ptr<txm::Subscription> orders() { return subscribe_behind_sns("orders", consumer); }

    txm::ConsumerStore& store() { return store_; }

    /// One line a customer: id and reserved cents, in the order of the ids' bytes.
    void print_accounts(std::ostream& out) {
        txm::dynamodb::Session session{db_};
        std::map<std::string, std::int64_t> accounts;
        for (char digit = '0'; digit <= '9'; ++digit) {
            const auto items = txm::sync_wait(session.query(
                txm::dynamodb::Query{table, "Part = :part", {{":part", std::string("accounts#") + digit}}}));
            for (const auto& item : items)
                accounts[item.at("Customer").text()] = item.at("ReservedCents").integer();
        }
        for (const auto& [customer, cents] : accounts)
            out << customer << ' ' << cents << '\n';
    }

private:
    AwsUrl url_ = aws_url_from_environment("TXM_STORE", "dynamodb");
    txm::dynamodb::Database db_{txm::dynamodb::DatabaseOptions{url_.client()}};
    txm::dynamodb::ConsumerStore store_{db_, consumer, url_.option("inbox", "inbox"), url_.name + "-txm"};
};

}  // namespace demo::customers
