#include "integration/sqlite_feed_files.hpp"
#include "txm/error.hpp"

#include <filesystem>
#include <future>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class SqliteFeed : public testing::Test {
protected:
    SqliteFeed() { sync_wait(sqlite::create_outbox_table(db_)); }

    ScratchDirectory directory_;
    const std::string path_ = directory_ / "orders.db";
    sqlite::Database db_{path_};
    sqlite::OutboxFeed feed_{db_};
    FeedReader relay_{feed_};
    ForeignProgram program_{path_};
};

TEST_F(SqliteFeed, says_to_migrate_when_there_is_no_outbox) {
    sqlite::Database db{directory_ / "empty.db"};
    sqlite::OutboxFeed feed{db};
    try {
        sync_wait(feed.acquire());
        FAIL() << "it was acquired";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::schema_missing);
        EXPECT_THAT(e.what(), HasSubstr("txm migrate"));
    }
}

TEST_F(SqliteFeed, sees_what_a_foreign_program_inserts) {
    relay_.acquire();
    auto messages = std::async(std::launch::async, [&] { return relay_.read(); });
    program_.run(insert_sql("a", "1"));
    const auto read = messages.get();
    ASSERT_THAT(payloads(read), ElementsAre("1"));
    EXPECT_EQ(read[0].correlation_id, read[0].message_id);
}

TEST_F(SqliteFeed, a_row_that_no_message_can_be_made_of_comes_in_its_turn_and_says_why) {
    program_.run(insert_sql("a", "1"));
    program_.run(
        "insert into outbox (message_id, topic, aggregate_id, payload) values ('not a uuid', 'orders', 'a', 'x')");
    program_.run("insert into outbox (topic, aggregate_id, payload) values ('orders', 'a', cast(x'c328' as text))");
    program_.run("insert into outbox (topic, aggregate_id, payload) values ('', 'a', 'x')");
    program_.run(
        "insert into outbox (topic, aggregate_id, payload) values ('orders', 'a', printf('%.*c', 2000000, 'x'))");
    program_.run("insert into outbox (topic, aggregate_id, payload, headers) values ('orders', 'a', 'x', '[1]')");
    program_.run(
        "insert into outbox (topic, aggregate_id, payload, created_at) values ('orders', 'a', 'x', 'yesterday')");
    program_.run(insert_sql("a", "2"));
    relay_.acquire();
    const auto messages = relay_.read_until("2");
    EXPECT_THAT(payloads(messages),
                ElementsAre("1", HasSubstr("'not a uuid'"), HasSubstr("not UTF-8"), HasSubstr("topic is empty"),
                            HasSubstr("2000000 bytes"), HasSubstr("headers"), HasSubstr("'yesterday'"), "2"));
    for (std::size_t i = 1; i < 7; ++i)
        EXPECT_EQ(messages.at(i).state, MessageState::dead);
}

TEST_F(SqliteFeed, a_dead_letter_without_an_id_gets_one_and_can_be_sent_again) {
    program_.run(
        "insert into outbox (message_id, topic, aggregate_id, payload) values ('order 7', 'orders', 'a', 'x')");
    relay_.acquire();
    const auto messages = relay_.read();
    relay_.settle(messages, Settlement::held, messages.at(0).payload);
    const auto admin = sqlite::open_admin(db_);
    MessageFilter filter;
    sync_wait(admin->list(filter, [&](const ListedMessage& listed) {
        EXPECT_THAT(listed.reason, HasSubstr("'order 7'"));
        EXPECT_FALSE(listed.message.message_id.is_nil());
        filter.ids = {listed.message.message_id};
        return true;
    }));
    EXPECT_EQ(sync_wait(admin->replay(filter, {})), 1U);
    const auto again = relay_.read();
    ASSERT_THAT(payloads(again), ElementsAre("x"));
    EXPECT_EQ(again.at(0).message_id, filter.ids.at(0));
}

TEST_F(SqliteFeed, a_clock_that_jumps_back_changes_no_order) {
    program_.run(
        "insert into outbox (topic, aggregate_id, payload, stored_at) values ('orders', 'a', '1', "
        "'2031-01-01T00:00:00+00:00')");
    program_.run(
        "insert into outbox (topic, aggregate_id, payload, stored_at) values ('orders', 'a', '2', "
        "'2021-01-01T00:00:00+00:00')");
    relay_.acquire();
    EXPECT_THAT(payloads(relay_.read()), ElementsAre("1", "2"));
}

TEST_F(SqliteFeed, restored_backup_relays_all) {
    for (const char* payload : {"1", "2", "3"})
        program_.run(insert_sql("a", payload));
    const std::string backup = directory_ / "backup.db";
    program_.run("vacuum into '" + backup + "'");
    relay_.acquire();
    relay_.settle(relay_.read());
    EXPECT_TRUE(relay_.is_drained());

    // The backup knows nothing of what was sent after it was made: all of it is sent, none is lost.
    sqlite::Database restored{backup};
    sqlite::OutboxFeed feed{restored};
    FeedReader relay{feed};
    relay.acquire();
    EXPECT_THAT(payloads(relay.read()), ElementsAre("1", "2", "3"));
}

TEST_F(SqliteFeed, wal_size_flat_while_broker_slow) {
    relay_.acquire();
    program_.run(insert_many_sql("a", 1000, 10));
    const auto on_their_way = relay_.read(100);
    program_.run("pragma wal_checkpoint(truncate)");
    const auto wal_size = [&] { return std::filesystem::file_size(path_ + "-wal"); };
    // Were a snapshot open while the messages are on their way, no checkpoint could reuse the WAL.
    std::uintmax_t largest = 0;
    for (int i = 0; i < 50; ++i) {
        program_.run(insert_many_sql("b", 500, 10));
        largest = std::max(largest, wal_size());
    }
    EXPECT_LT(largest, std::uintmax_t{8} << 20);
    program_.run("pragma wal_checkpoint(truncate)");
    EXPECT_EQ(wal_size(), 0U);
    relay_.settle(on_their_way);
}

TEST_F(SqliteFeed, deletes_dispatched_messages_that_are_old_enough) {
    for (const char* payload : {"1", "2", "3", "4"})
        program_.run(insert_sql("a", payload));
    relay_.acquire();
    auto messages = relay_.read();
    relay_.settle({messages.at(0), messages.at(2)});
    relay_.settle({messages.at(1)}, Settlement::dead, "refused");
    relay_.park(messages.at(3), 1, now() + 24h);
    program_.run(insert_sql("b", "5"));
    relay_.settle(relay_.read_until("5"));
    relay_.release();
    program_.run("update outbox set stored_at = '2020-01-01T00:00:00+00:00'");
    program_.run("update outbox set last_dispatched_at = '2020-01-01T00:00:00+00:00' where payload in ('1', '5')");
    relay_.acquire();
    program_.run(insert_sql("b", "6"));
    relay_.read_until("6");
    // 3 was dispatched only now, after a long outage.
    EXPECT_EQ(program_.text("select group_concat(payload, ' ') from (select payload from outbox order by sequence)"),
              "2 3 4 6");
}

TEST_F(SqliteFeed, retention_of_zero_deletes_on_settlement) {
    sqlite::FeedOptions options;
    options.retention = 0s;
    sqlite::OutboxFeed feed{db_, options};
    FeedReader relay{feed};
    program_.run(insert_sql("a", "1"));
    program_.run(insert_sql("a", "2"));
    relay.acquire();
    relay.settle({relay.read().at(0)});
    EXPECT_EQ(program_.text("select group_concat(payload) from outbox"), "2");
}

TEST_F(SqliteFeed, finds_what_was_set_back_to_pending_by_hand) {
    program_.run(insert_sql("a", "1"));
    relay_.acquire();
    relay_.settle(relay_.read());
    program_.run("update outbox set state = 0");
    EXPECT_THAT(payloads(relay_.read()), ElementsAre("1"));
}

TEST_F(SqliteFeed, a_lane_that_is_free_again_loses_nothing_of_what_comes_next) {
    relay_.acquire();
    program_.run(insert_sql("busy", "b"));
    const auto on_its_way = relay_.read();  // something is always on its way
    program_.run(insert_sql("a", "1"));
    relay_.park(relay_.read().at(0), 1, now());
    relay_.settle(relay_.read());
    // The lane still counts as blocked, and has nothing that waits.
    program_.run(insert_sql("a", "2"));
    const auto next = relay_.read();
    ASSERT_THAT(payloads(next), ElementsAre("2"));
    program_.run(insert_sql("a", "3"));
    EXPECT_THAT(payloads(relay_.read()), ElementsAre("3"));
    relay_.settle(on_its_way);
}

TEST_F(SqliteFeed, deleting_old_messages_fails_and_nothing_is_lost) {
    program_.run(insert_sql("a", "old"));
    relay_.acquire();
    relay_.settle(relay_.read());
    relay_.release();
    program_.run(
        "update outbox set stored_at = '2020-01-01T00:00:00+00:00', last_dispatched_at = '2020-01-01T00:00:00+00:00'");
    program_.run("create trigger keep before delete on outbox begin select raise(abort, 'kept'); end");
    program_.run(insert_sql("a", "1"));
    relay_.acquire();
    EXPECT_ANY_THROW(relay_.read());
    program_.run("drop trigger keep");
    program_.run(insert_sql("a", "2"));
    EXPECT_THAT(payloads(relay_.read_until("2")), ElementsAre("1", "2"));
}

TEST_F(SqliteFeed, the_rest_of_a_lane_follows_at_once) {
    sqlite::FeedOptions options;
    options.poll_interval = 24h;
    options.lease_term = 72h;
    sqlite::OutboxFeed feed{db_, options};
    FeedReader relay{feed};
    relay.acquire();
    program_.run(insert_sql("a", "1"));
    program_.run(insert_sql("a", "2"));
    relay.park(relay.read().at(0), 1, now());
    const auto first = relay.read();
    ASSERT_THAT(payloads(first), ElementsAre("1"));
    auto second = std::async(std::launch::async, [&] { return relay.read(); });
    // It has to be waiting: nothing else would wake it in this test.
    while (second.wait_for(50ms) != std::future_status::timeout) {}
    relay.settle(first);
    EXPECT_THAT(payloads(second.get()), ElementsAre("2"));
}

TEST_F(SqliteFeed, lanes_come_back_after_the_clock_was_set_back) {
    program_.run(insert_sql("a", "1"));
    program_.run(insert_sql("b", "2"));
    relay_.acquire();
    const auto messages = relay_.read();
    relay_.park(messages.at(0), 1, now() + 24h);
    relay_.park(messages.at(1), 1, now() + 24h);
    relay_.release();
    // As if it had been parked by a clock that was ten years ahead.
    program_.run(
        "update txm_lane set decided_at = '2046-01-01T00:00:00+00:00', next_attempt_at = '2046-01-01T00:00:01+00:00' "
        "where aggregate_id = 'a'");
    relay_.acquire();
    EXPECT_THAT(payloads(relay_.read()), ElementsAre("1"));
}

TEST_F(SqliteFeed, a_message_from_the_future_does_not_keep_old_ones) {
    for (const char* payload : {"1", "2", "3"})
        program_.run(insert_sql("a", payload));
    relay_.acquire();
    relay_.settle(relay_.read());
    relay_.release();
    program_.run(
        "update outbox set stored_at = '2020-01-01T00:00:00+00:00', last_dispatched_at = '2020-01-02T00:00:00+00:00'");
    program_.run(
        "update outbox set stored_at = '2046-01-01T00:00:00+00:00', last_dispatched_at = '2046-01-01T00:00:00+00:00' "
        "where payload = '1'");
    relay_.acquire();
    program_.run(insert_sql("a", "4"));
    relay_.read();
    EXPECT_EQ(program_.text("select group_concat(payload, ' ') from (select payload from outbox order by sequence)"),
              "1 4");
}

}  // namespace
}  // namespace txm::test
