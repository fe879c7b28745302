// The first example of the README, as a program: build/release/bin/examples/place_order orders.db
// [includes]
#include <txm/sqlite.hpp>
#include <txm/sync_wait.hpp>

#include <boost/json.hpp>

#include <cstdint>
#include <iostream>
#include <string>

namespace asio = boost::asio;
// [/includes]

struct PlaceOrder {
    txm::Uuid message_id, order_id;
    std::int64_t total_cents = 0;
};

// [place_order]
struct OrderCreated {  // a plain struct: txm reads a field or a const function of each of these names
    txm::Uuid message_id = txm::new_uuid(), correlation_id{}, order_id{};
    std::int64_t total_cents = 0;
    txm::Timestamp created_at = txm::now();
    txm::Uuid aggregate_id() const { return order_id; }
    std::string serialize() const;  // JSON, or any other text
};
const txm::TopicMap topics{txm::topic<OrderCreated>("orders", "order-created")};

asio::awaitable<void> place_order(txm::sqlite::Database& db, PlaceOrder command) {
    txm::sqlite::Session session{db};
    txm::sqlite::InboxRepository inbox{"inbox", session};
    txm::sqlite::OutboxRepository events{"outbox", session, topics};

    co_await txm::ensure_idempotence(command.message_id, inbox);  // throws MessageAlreadyProcessedError
    session.add("insert into orders values (?, ?)", command.order_id, command.total_cents);
    events.publish(OrderCreated{.order_id = command.order_id, .total_cents = command.total_cents});
    co_await session.commit();  // the order, the message and the inbox row, or none of them
}
// [/place_order]

std::string OrderCreated::serialize() const {
    return boost::json::serialize(
        boost::json::object{{"order_id", order_id.to_string()}, {"total_cents", total_cents}});
}

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: place_order DATABASE\n";
        return 2;
    }
    // [tables]
    txm::sqlite::Database db{argv[1]};
    txm::sync_wait(txm::sqlite::create_outbox_table(db));
    txm::sync_wait(txm::sqlite::create_inbox_table(db));
    // [/tables]
    txm::sqlite::Session session{db};
    session.add("create table if not exists orders (order_id text primary key, total_cents integer not null) strict");
    txm::sync_wait(session.commit());

    const PlaceOrder command{txm::new_uuid(), txm::new_uuid(), 2933};
    txm::sync_wait(place_order(db, command));
    std::cout << "placed order " << command.order_id << '\n';
    try {
        txm::sync_wait(place_order(db, command));
    } catch (const txm::MessageAlreadyProcessedError& e) {
        std::cout << "the second time: " << e.what() << '\n';
        return 0;
    }
    std::cerr << "a command took effect twice\n";
    return 1;
}
