#include "contract/store_contract.hpp"

#include "support/scratch_directory.hpp"
#include "txm/sqlite_feed.hpp"
#include "txm/sync_wait.hpp"

#ifdef TXM_HAS_DYNAMODB
#include "contract/dynamodb_store.hpp"
#endif

namespace txm::test {
namespace {

class SqliteStore final : public Store {
public:
    SqliteStore() : db_(directory_ / "store.db") {
        sync_wait(sqlite::create_outbox_table(db_));
        sync_wait(sqlite::create_inbox_table(db_));
    }

    std::vector<StoredMessage> publish(std::vector<StoredMessage> messages) override {
        sqlite::Session session{db_};
        for (const StoredMessage& m : messages)
            session.add(
                "insert into outbox (message_id, topic, type, aggregate_id, correlation_id, payload) values (?, ?, ?, "
                "?, ?, ?)",
                m.message_id, m.topic, m.type, m.aggregate_id, m.correlation_id, m.payload);
        sync_wait(session.commit());
        std::vector<StoredMessage> stored;
        for (const StoredMessage& m : messages)
            stored.push_back(message(m.message_id).value());
        return stored;
    }

    std::optional<StoredMessage> message(const Uuid& message_id) override {
        sqlite::Session session{db_};
        sqlite::OutboxRepository outbox{"outbox", session, TopicMap{}};
        return sync_wait(outbox.get(message_id));
    }

    std::unique_ptr<OutboxFeed> feed(std::chrono::milliseconds lease_term) override {
        sqlite::FeedOptions options;
        options.lease_term = lease_term;
        return std::make_unique<sqlite::OutboxFeed>(db_, options);
    }

    std::unique_ptr<ConsumerStore> consumer_store(std::string consumer) override {
        return std::make_unique<sqlite::ConsumerStore>(db_, std::move(consumer));
    }

    void process(const Incoming& incoming) override {
        sqlite::Session session{db_};
        sqlite::InboxRepository inbox{"inbox", session};
        inbox.save(incoming);
        sync_wait(session.commit());
    }

    void age_inbox(std::chrono::hours age) override {
        sqlite::Session session{db_};
        session.add("update inbox set created_at = ?", to_iso8601(now() - age));
        sync_wait(session.commit());
    }

    std::unique_ptr<Admin> admin() override { return sqlite::open_admin(db_); }

private:
    ScratchDirectory directory_;
    sqlite::Database db_;
};

}  // namespace

std::vector<StoreKind> store_kinds() {
    std::vector<StoreKind> kinds{
        {.name = "sqlite", .make = [] { return std::make_unique<SqliteStore>(); }},
    };
#ifdef TXM_HAS_DYNAMODB
    for (StoreKind& kind : dynamodb_stores())
        kinds.push_back(std::move(kind));
#endif
    return kinds;
}

StoredMessage message_of(const std::string& aggregate_id, const std::string& payload, const std::string& topic) {
    StoredMessage message;
    message.message_id = new_uuid();
    message.correlation_id = message.message_id;
    message.aggregate_id = aggregate_id;
    message.topic = topic;
    message.type = "order-created";
    message.payload = payload;
    return message;
}

}  // namespace txm::test
