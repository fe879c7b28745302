// The use case of shop.hpp on SQLite: build/release/bin/examples/shop_sqlite shop.db
#include "shop.hpp"

#include <txm/sqlite.hpp>

// [wiring]
class SqliteOrders final : public OrderRepository {
public:
    explicit SqliteOrders(txm::sqlite::Session& session) : session_(session) {}
    void add(const txm::Uuid& order_id, std::int64_t total_cents) override {
        session_.add("insert into orders values (?, ?)", order_id, total_cents);
    }

private:
    txm::sqlite::Session& session_;
};

class SqliteUnitOfWork final : public UnitOfWork {
public:
    SqliteUnitOfWork(txm::sqlite::Database& db, const txm::Incoming& incoming) : UnitOfWork(incoming), session_(db) {}
    txm::sqlite::Session& session() override { return session_; }
    txm::InboxRepository& inbox() override { return inbox_; }
    OrderRepository& orders() override { return orders_; }
    txm::OutboxWriter& events() override { return events_; }

private:
    txm::sqlite::Session session_;
    txm::sqlite::InboxRepository inbox_{"inbox", session_};
    SqliteOrders orders_{session_};
    txm::sqlite::OutboxRepository events_{"outbox", session_, topics};
};
// [/wiring]

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: shop_sqlite DATABASE, where txm migrate has run\n";
        return 2;
    }
    txm::sqlite::Database db{argv[1]};
    txm::sqlite::Session session{db};
    session.add("create table if not exists orders (order_id text primary key, total_cents integer not null) strict");
    txm::sync_wait(session.commit());
    return place_an_order_twice(
        [&db](const txm::Incoming& incoming) { return std::make_unique<SqliteUnitOfWork>(db, incoming); });
}
