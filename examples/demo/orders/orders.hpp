#pragma once

#include "common/messages.hpp"
#include "common/service.hpp"

#include <txm/outbox_writer.hpp>

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>

/// The service *orders*: takes orders in, and completes or cancels each once the customers service has decided.
/// Nothing here knows which store or broker it runs on; the wiring does.
namespace demo::orders {

/// The id is the line of the purchase in its file.
struct Order {
    std::int64_t id = 0;
    std::string customer;
    std::int64_t cents = 0;
};

/// The order is there, and so is its message: they were committed together. A process that was killed may have sent the
/// commit before, and a store that is a server may have carried it out after.
class OrderAlreadyPlacedError : public std::runtime_error {
public:
    explicit OrderAlreadyPlacedError(std::int64_t id)
        : std::runtime_error("order " + std::to_string(id) + " was placed before") {}
};

/// An answer came for an order that was answered before, or never placed: one effect too many.
class OrderNotOpenError : public std::runtime_error {
public:
    explicit OrderNotOpenError(std::int64_t id)
        : std::runtime_error("order " + std::to_string(id) + " is not open: it cannot be completed or cancelled") {}
};

class OrderRepository {
public:
    virtual ~OrderRepository() = default;
    virtual void place(const Order& order) = 0;  ///< the commit throws OrderAlreadyPlacedError when it is there
    virtual void complete(std::int64_t id) = 0;  ///< the commit throws OrderNotOpenError unless it is open
    virtual void cancel(std::int64_t id) = 0;    ///< the same
};

/// How far the file of purchases has been taken in. Lines are spread over lanes by customer, so that many commits can be
/// under way while those of one customer follow each other; each lane remembers its own last line.
class ProgressRepository {
public:
    virtual ~ProgressRepository() = default;
    virtual void advance(std::int64_t lane, std::int64_t line) = 0;
};

class UnitOfWork : public LoggedUnitOfWork {
public:
    using LoggedUnitOfWork::LoggedUnitOfWork;
    virtual OrderRepository& orders() = 0;
    virtual ProgressRepository& progress() = 0;
    virtual txm::OutboxWriter& events() = 0;
};

/// Places an order, tells the world, and remembers the line: one commit.
inline txm::awaitable<void> place_order(UnitOfWork& uow, const Order& order, std::int64_t lane) {
    OrderCreated created;
    created.order_id = order.id;
    created.customer = order.customer;
    created.cents = order.cents;

    uow.orders().place(order);
    uow.progress().advance(lane, order.id);
    uow.events().publish(created);
    co_await uow.commit();
}

// Handlers only stage: the commit, with the inbox row in it, is the consumer's.

inline void complete_order(UnitOfWork& uow, const CreditReserved& answer) {
    uow.orders().complete(answer.order_id);
}

inline void cancel_order(UnitOfWork& uow, const CreditRejected& answer) {
    uow.orders().cancel(answer.order_id);
}

}  // namespace demo::orders
