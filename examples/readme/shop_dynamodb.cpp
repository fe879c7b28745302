// The use case of shop.hpp on DynamoDB: build/release/bin/examples/shop_dynamodb [ENDPOINT]
#include "shop.hpp"

#include <txm/dynamodb.hpp>

// [wiring]
class DynamodbOrders final : public OrderRepository {
public:
    explicit DynamodbOrders(txm::dynamodb::Session& session) : session_(session) {}
    void add(const txm::Uuid& order_id, std::int64_t total_cents) override {
        session_.put("orders", {{"PK", order_id}, {"TotalCents", total_cents}});
    }

private:
    txm::dynamodb::Session& session_;
};

class DynamodbUnitOfWork final : public UnitOfWork {
public:
    DynamodbUnitOfWork(txm::dynamodb::Database& db, const txm::Incoming& incoming)
        : UnitOfWork(incoming), session_(db) {}
    txm::dynamodb::Session& session() override { return session_; }
    txm::InboxRepository& inbox() override { return inbox_; }
    OrderRepository& orders() override { return orders_; }
    txm::OutboxWriter& events() override { return events_; }

private:
    txm::dynamodb::Session session_;
    txm::dynamodb::InboxRepository inbox_{"inbox", session_};
    DynamodbOrders orders_{session_};
    txm::dynamodb::OutboxRepository events_{"outbox", session_, topics};
};
// [/wiring]

// [main]
int main(int argc, char** argv) try {
    txm::aws::ClientOptions client;  // region and credentials: from where Amazon's own tools take them
    if (argc > 1)
        client.endpoint = argv[1];
    txm::dynamodb::Database db{txm::dynamodb::DatabaseOptions{client}};
    return place_an_order_twice(
        [&db](const txm::Incoming& incoming) { return std::make_unique<DynamodbUnitOfWork>(db, incoming); });
} catch (const txm::Error& error) {  // no region, or an endpoint that is none
    std::cerr << error.what() << '\n';
    return 1;
}
// [/main]
