#include "contract/dynamodb_store.hpp"

#include "support/own_credentials.hpp"
#include "support/server.hpp"
#include "txm/dynamodb_feed.hpp"
#include "txm/sync_wait.hpp"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <utility>

namespace txm::test {
namespace {

// What a transaction of the service may have, counters included.
constexpr std::size_t most_at_once = 40;

dynamodb::DatabaseOptions options() {
    aws::ClientOptions client{"eu-central-1"};
    client.endpoint = Server::shared("dynamodb").endpoint();
    client.credentials = own_credentials();
    return dynamodb::DatabaseOptions{client};
}

/// Tables of its own on the server that all tests of a program share.
class DynamoDbStore final : public Store {
public:
    explicit DynamoDbStore(dynamodb::FeedKind kind) : kind_(kind) {
        sync_wait(dynamodb::create_outbox_table(db_, outbox_));
        sync_wait(dynamodb::create_inbox_table(db_, inbox_));
    }

    std::vector<StoredMessage> publish(std::vector<StoredMessage> messages) override {
        for (std::span<StoredMessage> rest{messages}; !rest.empty();) {
            const auto some = rest.first(std::min(most_at_once, rest.size()));
            rest = rest.subspan(some.size());
            commit(some);
        }
        std::vector<StoredMessage> stored;
        for (const StoredMessage& m : messages)
            stored.push_back(message(m.message_id).value());
        return stored;
    }

    std::optional<StoredMessage> message(const Uuid& message_id) override {
        dynamodb::Session session{db_};
        dynamodb::OutboxRepository outbox{outbox_, session, TopicMap{}};
        return sync_wait(outbox.get(message_id));
    }

    std::unique_ptr<OutboxFeed> feed(std::chrono::milliseconds lease_term) override {
        dynamodb::FeedOptions options;
        options.table = outbox_;
        options.kind = kind_;
        options.lease_term = lease_term;
        options.poll_interval = std::chrono::milliseconds{20};
        return std::make_unique<dynamodb::OutboxFeed>(db_, options);
    }

    std::unique_ptr<ConsumerStore> consumer_store(std::string consumer) override {
        return std::make_unique<dynamodb::ConsumerStore>(db_, std::move(consumer), inbox_, outbox_ + "-txm");
    }

    void process(const Incoming& incoming) override {
        dynamodb::Session session{db_};
        dynamodb::InboxRepository inbox{inbox_, session};
        inbox.save(incoming);
        sync_wait(session.commit());
    }

    void age_inbox(std::chrono::hours) override {
        throw std::logic_error("the table's time to live forgets, by the real time");
    }

    std::unique_ptr<Admin> admin() override { return dynamodb::open_admin(db_, outbox_, inbox_); }

private:
    void commit(std::span<StoredMessage> messages) {
        dynamodb::Session session{db_};
        dynamodb::OutboxRepository outbox{outbox_, session, TopicMap{}};
        for (StoredMessage& m : messages) {
            m.created_at = last_ = std::max(now(), last_ + std::chrono::microseconds{1});
            outbox.publish(m);
        }
        sync_wait(session.commit());
    }

    const dynamodb::FeedKind kind_;
    const std::string outbox_ = "outbox-" + new_uuid().to_string(), inbox_ = "inbox-" + new_uuid().to_string();
    dynamodb::Database db_{options()};
    Timestamp last_{};
};

}  // namespace

std::vector<StoreKind> dynamodb_stores() {
    const auto make = [](dynamodb::FeedKind kind) { return [kind] { return std::make_unique<DynamoDbStore>(kind); }; };
    return {
        {.name = "dynamodb", .make = make(dynamodb::FeedKind::tail), .purges_inbox = false},
        {.name = "dynamodb_poll", .make = make(dynamodb::FeedKind::poll), .purges_inbox = false},
    };
}

}  // namespace txm::test
