// What a user's first program does: an order and its message in one commit; and the same where nobody answers.
#include <txm/aws.hpp>
#include <txm/dynamodb.hpp>
#include <txm/dynamodb_feed.hpp>
#include <txm/local.hpp>
#include <txm/message.hpp>
#include <txm/sqlite.hpp>
#include <txm/sync_wait.hpp>
#include <txm/topics.hpp>

#include <cstdint>
#include <cstdio>
#include <string>

struct OrderCreated {
    txm::Uuid message_id = txm::new_uuid();
    txm::Uuid correlation_id{}, order_id{};
    std::int64_t total_cents = 0;
    txm::Timestamp created_at = txm::now();
    txm::Uuid aggregate_id() const { return order_id; }
    std::string serialize() const { return std::to_string(total_cents); }
};

const txm::TopicMap topics{txm::topic<OrderCreated>("orders", "order-created")};

txm::awaitable<std::size_t> place_order(txm::sqlite::Database& db) {
    co_await txm::sqlite::create_outbox_table(db);
    txm::sqlite::Session session{db};
    txm::sqlite::OutboxRepository events{"outbox", session, topics};
    OrderCreated event;
    event.order_id = txm::new_uuid();
    event.total_cents = 4200;
    events.publish(event);
    co_await session.commit();
    const auto waiting = co_await events.get_not_dispatched_messages();
    co_return waiting.size();
}

txm::awaitable<bool> is_away(txm::dynamodb::Database& db) {
    try {
        co_await txm::dynamodb::create_inbox_table(db);
    } catch (const txm::Error& error) {
        co_return error.code() == txm::Errc::store_unavailable;
    }
    co_return false;
}

bool amazon_is_away() {
    txm::aws::ClientOptions client{"eu-west-1"};
    client.endpoint = "http://127.0.0.1:1";
    client.credentials.emplace("key", "secret");
    client.max_attempts = 1;
    txm::aws::SnsPublisher broker{txm::aws::BrokerOptions{client}};
    txm::dynamodb::Database db{txm::dynamodb::DatabaseOptions{client}};
    txm::dynamodb::OutboxFeed feed{db};
    return txm::sync_wait(is_away(db));
}

int main(int, char** argv) {
    const std::string directory = argv[1];
    txm::sqlite::Database db{directory + "/orders.db"};
    txm::local::Publisher broker{directory + "/broker.db"};
    const std::size_t waiting = txm::sync_wait(place_order(db));
    std::printf("%zu message waits for its relay\n", waiting);
    return waiting == 1 && amazon_is_away() ? 0 : 1;
}
