// The third example of the README, as a program: handles what place_order published, until nothing is left.
#include <txm/consumer.hpp>
#include <txm/local.hpp>
#include <txm/sqlite.hpp>
#include <txm/sqlite_feed.hpp>
#include <txm/sync_wait.hpp>

#include <boost/asio/signal_set.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/json.hpp>

#include <csignal>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace asio = boost::asio;

struct OrderCreated {
    txm::Uuid message_id, correlation_id, order_id;
    txm::Timestamp created_at{};
    std::int64_t total_cents = 0;

    txm::Uuid aggregate_id() const { return order_id; }
    std::string serialize() const { return {}; }
    // [deserialize]
    static OrderCreated deserialize(std::string_view payload) {
        const auto json = boost::json::parse(boost::json::string_view(payload.data(), payload.size()));
        OrderCreated event;
        event.order_id = txm::Uuid::parse(std::string_view(json.at("order_id").as_string()));
        event.total_cents = json.at("total_cents").as_int64();
        return event;
    }
    // [/deserialize]
};

const txm::TopicMap topics{txm::topic<OrderCreated>("orders", "order-created")};

// [consume]
class UnitOfWork final : public txm::UnitOfWork {  // one per message; its commit holds effect and inbox row
public:
    UnitOfWork(txm::sqlite::Database& db, const txm::Incoming& incoming) : txm::UnitOfWork(incoming), session_(db) {}
    txm::sqlite::Session& session() override { return session_; }
    txm::InboxRepository& inbox() override { return inbox_; }

private:
    txm::sqlite::Session session_;
    txm::sqlite::InboxRepository inbox_{"inbox", session_};
};

void add_to_revenue(UnitOfWork& uow, const OrderCreated& event) {  // stages; txm commits after it returned
    uow.session().add("update revenue set cents = cents + ?", event.total_cents);
}

asio::awaitable<void> keep_revenue(txm::sqlite::Database& db, txm::Subscription& orders, txm::ConsumerOptions options) {
    txm::sqlite::ConsumerStore store{db, options.name};
    txm::Consumer<UnitOfWork> consumer{store, orders, options, [&db](const txm::Incoming& incoming) {
                                           return std::make_unique<UnitOfWork>(db, incoming);
                                       }};
    consumer.on<OrderCreated>(topics, add_to_revenue);

    const auto executor = co_await asio::this_coro::executor;
    asio::signal_set signals{executor, SIGTERM, SIGINT};
    signals.async_wait([&consumer](const boost::system::error_code& error, int) {
        if (!error)
            consumer.stop();  // run() finishes what is in hand, and returns
    });
    co_await consumer.run();
}
// [/consume]

int main(int argc, char** argv) {
    if (argc != 3) {
        std::cerr << "usage: consume DATABASE BROKER-FILE\n";
        return 2;
    }
    txm::sqlite::Database db{argv[1]};
    txm::sync_wait(txm::sqlite::create_inbox_table(db));
    txm::sqlite::Session session{db};
    session.add("create table if not exists revenue (cents integer not null)");
    session.add("insert into revenue select 0 where not exists (select 1 from revenue)");
    txm::sync_wait(session.commit());

    // [run]
    txm::ConsumerOptions options{"revenue"};  // the consumer's name
    options.drain = true;                     // ends when nothing is left; a service leaves this out
    txm::local::Subscription orders{argv[2], {"orders"}, txm::local::SubscriptionOptions{options.name}};
    txm::sync_wait(keep_revenue(db, orders, std::move(options)));
    // [/run]

    const auto rows = txm::sync_wait(session.read("select cents from revenue"));
    std::cout << "revenue: " << std::get<std::int64_t>(rows.at(0).at(0)) << " cents\n";
}
