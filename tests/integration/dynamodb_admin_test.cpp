#include "contract/feed_reader.hpp"
#include "integration/dynamodb_session_fixture.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "txm/dynamodb_feed.hpp"

#include <chrono>

namespace txm::test {
namespace {

using namespace std::chrono_literals;

class DynamoDbOperator : public DynamoDbSession {
protected:
    Uuid publish(const dynamodb::OutboxOptions& options = {}) {
        Noted noted;
        noted.aggregate_id = new_uuid();
        dynamodb::Session session{*db};
        dynamodb::OutboxRepository events{outbox, session, topics(), options};
        events.publish(noted);
        sync_wait(session.commit());
        return noted.message_id;
    }
    MessageFilter of(const Uuid& id) {
        MessageFilter filter;
        filter.ids = {id};
        return filter;
    }
    MessageState state_of(const Uuid& id) {
        std::optional<MessageState> state;
        sync_wait(admin->list(of(id), [&](const ListedMessage& listed) {
            state = listed.message.state;
            return true;
        }));
        return state.value();
    }
    dynamodb::FeedOptions feed_options(bool compat) {
        dynamodb::FeedOptions options;
        options.table = outbox;
        options.compat = compat;
        options.poll_interval = 20ms;
        return options;
    }

    std::unique_ptr<Admin> admin = dynamodb::open_admin(*db, outbox, inbox);
};

// Otherwise the table's time to live would delete it while it waits.
TEST_F(DynamoDbOperator, what_is_sent_again_does_not_expire) {
    const Uuid id = publish();
    dynamodb::OutboxFeed feed{*db, feed_options(false)};
    FeedReader relay{feed};
    relay.acquire();
    relay.settle(relay.read());
    ASSERT_TRUE(row(id)->contains("ExpiresAt"));
    EXPECT_EQ(sync_wait(admin->replay(of(id), {})), 1U);
    EXPECT_FALSE(row(id)->contains("ExpiresAt"));
    EXPECT_EQ(state_of(id), MessageState::parked);
    const auto again = relay.read();
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again.front().replays, 1);
    relay.settle(again);
    EXPECT_EQ(state_of(id), MessageState::dispatched);
}

TEST_F(DynamoDbOperator, on_a_shared_table_only_its_own_values_are_written) {
    dynamodb::Session session{*db};
    session.put(outbox + "-txm", {{"PK", "META"}, {"SK", "COMPAT"}, {"Compat", true}});
    sync_wait(session.commit());
    dynamodb::OutboxOptions options;
    options.compat = true;
    const Uuid id = publish(options);
    dynamodb::OutboxFeed feed{*db, feed_options(true)};
    FeedReader relay{feed};
    relay.acquire();
    relay.settle(relay.read(), Settlement::held, "refused");
    EXPECT_EQ(state_of(id), MessageState::dead);
    EXPECT_EQ(row(id)->at("NotDispatched"), dynamodb::Attribute("x"));
    StoreStatus status = sync_wait(admin->status());
    EXPECT_EQ(status.pending, 0U);
    EXPECT_EQ(status.dead, 1U);

    EXPECT_EQ(sync_wait(admin->replay(of(id), {})), 1U);
    EXPECT_EQ(row(id)->at("NotDispatched"), dynamodb::Attribute("x"));
    EXPECT_EQ(state_of(id), MessageState::parked);
    EXPECT_EQ(sync_wait(admin->status()).parked, 1U);
    EXPECT_EQ(sync_wait(admin->skip(of(id), {})), 1U);
    EXPECT_EQ(row(id)->at("NotDispatched"), dynamodb::Attribute("x"));
    EXPECT_EQ(state_of(id), MessageState::dead);
    EXPECT_EQ(sync_wait(admin->status()).dead, 0U);
}

// Nobody on this machine can ask whether its process lives.
TEST_F(DynamoDbOperator, a_lease_that_is_not_renewed_any_more_is_nobodys) {
    const auto is_held_when_renewed = [&](Timestamp time) {
        dynamodb::Session session{*db};
        session.put(outbox + "-txm", {{"PK", "LEASE"},
                                      {"SK", "relay"},
                                      {"Member", "elsewhere process 7 (a b 1 1)"},
                                      {"Fence", 3},
                                      {"Version", 9},
                                      {"Term", 10'000},
                                      {"Released", false},
                                      {"RenewedAt", dynamodb::detail::fixed_width(time)}});
        sync_wait(session.commit());
        return sync_wait(admin->status()).leases.at(0).is_held;
    };
    EXPECT_TRUE(is_held_when_renewed(now() - 30s));
    EXPECT_FALSE(is_held_when_renewed(now() - 5min));
    EXPECT_TRUE(is_held_when_renewed(now() + 1h));
    sync_wait(db->impl().call(
        "DeleteItem", R"({"TableName":")" + outbox + R"(-txm","Key":{"PK":{"S":"LEASE"},"SK":{"S":"relay"}}})"));
    dynamodb::OutboxFeed feed{*db, feed_options(false)};
    FeedReader{feed}.acquire();
    EXPECT_TRUE(sync_wait(admin->status()).leases.at(0).is_held);
}

TEST_F(DynamoDbOperator, a_large_inbox_is_not_counted_for_each_who_asks) {
    const auto add = [&](int count) {
        dynamodb::Session session{*db};
        for (int i = 0; i < count; ++i)
            session.put(inbox, {{"PK", "MESSAGE#" + new_uuid().to_string() + "#billing"}});
        sync_wait(session.commit());
    };
    const auto processed = [](Admin& by) { return sync_wait(by.status()).inboxes.at(0).processed; };
    add(100);
    EXPECT_EQ(processed(*admin), 100U);
    for (int i = 0; i < 10; ++i)
        add(100);
    EXPECT_EQ(processed(*admin), 1'100U);
    add(1);
    EXPECT_EQ(processed(*admin), 1'100U);
    EXPECT_EQ(processed(*dynamodb::open_admin(*db, outbox, inbox)), 1'101U);
}

TEST_F(DynamoDbOperator, what_waits_of_a_consumer_is_told_without_looking_at_the_outbox) {
    const auto consumer = dynamodb::open_admin(*db, "no-such-outbox", inbox, outbox + "-txm");
    EXPECT_EQ(sync_wait(consumer->inbox_status("billing")).dead, 0U);
    EXPECT_TRUE(thrown_by<Error>([&] { sync_wait(consumer->status()); }));
}

TEST_F(DynamoDbOperator, an_inbox_that_forgets_by_itself_is_not_purged) {
    MessageFilter filter;
    filter.before = now();
    const auto error = thrown_by<Error>([&] { sync_wait(admin->purge_inbox("billing", filter, {})); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), Errc::not_supported);
}

}  // namespace
}  // namespace txm::test
