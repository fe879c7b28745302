#pragma once

#include <txm/error.hpp>
#include <txm/message.hpp>
#include <txm/outbox_writer.hpp>
#include <txm/sync_wait.hpp>
#include <txm/topics.hpp>
#include <txm/unit_of_work.hpp>

#include <boost/json.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

namespace asio = boost::asio;

/// The use case of the README's first example, without a store: shop_sqlite.cpp and shop_dynamodb.cpp wire it to one.
struct PlaceOrder {
    txm::Uuid message_id, order_id;
    std::int64_t total_cents = 0;
};

struct OrderCreated {
    txm::Uuid message_id = txm::new_uuid(), correlation_id{}, order_id{};
    std::int64_t total_cents = 0;
    txm::Timestamp created_at = txm::now();
    txm::Uuid aggregate_id() const { return order_id; }
    std::string serialize() const {
        return boost::json::serialize(
            boost::json::object{{"order_id", order_id.to_string()}, {"total_cents", total_cents}});
    }
};
inline const txm::TopicMap topics{txm::topic<OrderCreated>("orders", "order-created")};

// [use_case]
class OrderRepository {  // your own interface: what the use case needs of a store
public:
    virtual ~OrderRepository() = default;
    virtual void add(const txm::Uuid& order_id, std::int64_t total_cents) = 0;
};

class UnitOfWork : public txm::UnitOfWork {
public:
    using txm::UnitOfWork::UnitOfWork;
    virtual OrderRepository& orders() = 0;
    virtual txm::OutboxWriter& events() = 0;
};

inline asio::awaitable<void> place_order(UnitOfWork& uow, PlaceOrder command) {
    uow.orders().add(command.order_id, command.total_cents);
    uow.events().publish(OrderCreated{.order_id = command.order_id, .total_cents = command.total_cents});
    co_await uow.commit();
}
// [/use_case]

/// Sends one command twice: the second time it must find that it took effect.
inline int place_an_order_twice(const std::function<std::unique_ptr<UnitOfWork>(const txm::Incoming&)>& unit_of_work) {
    const PlaceOrder command{txm::new_uuid(), txm::new_uuid(), 2933};
    try {
        for (int i = 0; i < 2; ++i) {
            const auto uow = unit_of_work(command.message_id);
            txm::sync_wait(txm::within(*uow, place_order(*uow, command)));
            std::cout << "placed order " << command.order_id << '\n';
        }
        std::cerr << "a command took effect twice\n";
        return 1;
    } catch (const txm::MessageAlreadyProcessedError& e) {
        std::cout << "the second time: " << e.what() << '\n';
        return 0;
    } catch (const std::exception& e) {
        std::cerr << e.what() << '\n';
        return 1;
    }
}
