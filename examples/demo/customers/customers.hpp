#pragma once

#include "common/messages.hpp"
#include "common/service.hpp"

#include <txm/outbox_writer.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>

/// The service *customers*: reserves credit for orders, as far as each customer's limit goes.
/// Nothing here knows which store or broker it runs on; the wiring does.
namespace demo::customers {

/// A customer's reserved credit; version 0: nothing reserved so far.
struct Account {
    std::string customer;
    std::int64_t reserved_cents = 0;
    std::int64_t version = 0;
};

/// Somebody else changed the account since it was read: the message is handled again.
class AccountChangedError : public std::runtime_error {
public:
    explicit AccountChangedError(const std::string& customer)
        : std::runtime_error("the account of customer " + customer + " changed meanwhile") {}
};

class AccountRepository {
public:
    virtual ~AccountRepository() = default;
    virtual txm::awaitable<Account> get(std::string customer) = 0;
    /// The commit throws AccountChangedError unless the account is still as it was read.
    virtual void reserve(const Account& account, std::int64_t cents) = 0;
};

class UnitOfWork : public LoggedUnitOfWork {
public:
    using LoggedUnitOfWork::LoggedUnitOfWork;
    virtual AccountRepository& accounts() = 0;
    virtual txm::OutboxWriter& events() = 0;
};

/// Reserves the order's credit when it fits, and says which: the consumer commits both with the inbox row.
/// The account is read without a lock and its version checked by the commit, so that many customers are served at a time.
inline txm::awaitable<void> reserve_credit(UnitOfWork& uow, const OrderCreated& order, std::int64_t limit_cents) {
    const Account account = co_await uow.accounts().get(order.customer);
    // Not a sum: it could overflow.
    if (order.cents <= limit_cents - account.reserved_cents) {
        uow.accounts().reserve(account, order.cents);
        CreditReserved reserved;
        reserved.correlation_id = uow.incoming()->message_id;
        reserved.order_id = order.order_id;
        reserved.customer = order.customer;
        uow.events().publish(reserved);
    } else {
        CreditRejected rejected;
        rejected.correlation_id = uow.incoming()->message_id;
        rejected.order_id = order.order_id;
        rejected.customer = order.customer;
        uow.events().publish(rejected);
    }
}

}  // namespace demo::customers
