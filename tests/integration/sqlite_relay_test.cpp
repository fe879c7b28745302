#include "integration/sqlite_feed_files.hpp"
#include "support/fake_publisher.hpp"
#include "txm/relay.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::FakePublisher;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Verdict = FakePublisher::Verdict;

/// A relay between an SQLite file and a broker in memory.
class SqliteRelay : public ::testing::Test {
protected:
    SqliteRelay() {
        sync_wait(sqlite::create_outbox_table(db_));
        options_.backoff = 2ms;
        options_.max_backoff = 20ms;
        options_.park_after = 10ms;
        options_.max_attempts = 4;
    }

    void start() {
        relay_ = std::make_unique<Relay>(*feed_, publisher_, options_);
        relay_->on_event([this](const std::string& line) { events_.push_back(line); });
        ended_ = false;
        boost::asio::co_spawn(context_, relay_->run(), [this](std::exception_ptr e) {
            error_ = e;
            ended_ = true;
        });
    }

    void wait_for(const std::function<bool()>& condition) {
        const auto deadline = std::chrono::steady_clock::now() + 60s;
        while (!condition()) {
            context_.restart();
            context_.run_one_for(100ms);
            ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "what the test waits for did not happen";
        }
    }

    void stop() {
        relay_->stop();
        wait_for([this] { return ended_; });
        if (error_)
            std::rethrow_exception(error_);
    }

    void run_until_drained() {
        options_.drain = true;
        start();
        wait_for([this] { return ended_; });
        if (error_)
            std::rethrow_exception(error_);
    }

    long count(int state) {
        return program_.number("select count(*) from outbox where state = " + std::to_string(state));
    }

    boost::asio::io_context context_;  // longer than the threads of the store that answer it
    ScratchDirectory directory_;
    const std::string path_ = directory_ / "orders.db";
    sqlite::Database db_{path_};
    sqlite::FeedOptions feed_options_;
    std::unique_ptr<sqlite::OutboxFeed> feed_ = std::make_unique<sqlite::OutboxFeed>(db_);
    ForeignProgram program_{path_};
    FakePublisher publisher_;
    RelayOptions options_;
    std::unique_ptr<Relay> relay_;
    std::vector<std::string> events_;
    bool ended_ = false;
    std::exception_ptr error_;
};

TEST_F(SqliteRelay, lanes_that_fail_now_and_then_keep_their_order) {
    options_.max_attempts = 1'000;
    options_.park_after = 1ms;
    options_.max_in_flight = 64;
    options_.batch = 8;
    publisher_.concurrency = 3;
    publisher_.delay = 1ms;
    int sends = 0;
    publisher_.verdict = [&](const StoredMessage&) {
        return ++sends % 5 == 0 ? Verdict::refuse : Verdict::acknowledge;
    };
    program_.run(insert_many_sql("a", 300, 20));
    start();
    // While lanes are parked, come back and are free again, more of them comes.
    for (int i = 0; i < 20; ++i) {
        const auto before = relay_->statistics().dispatched;
        program_.run(insert_many_sql("a", 20, 20));
        wait_for([&] { return relay_->statistics().dispatched > before + 10; });
    }
    wait_for([&] { return count(1) == 700; });
    stop();
    EXPECT_GT(relay_->statistics().parked, 0U);
    EXPECT_TRUE(publisher_.is_in_order());
    EXPECT_FALSE(publisher_.saw_two_of_a_lane);
}

TEST_F(SqliteRelay, a_row_that_can_never_be_sent_holds_its_lane) {
    program_.run(insert_sql("a", "1"));
    program_.run("insert into outbox (topic, aggregate_id, payload, headers) values ('orders', 'a', 'bad', '[1]')");
    program_.run(insert_sql("a", "2"));
    program_.run(insert_sql("b", "3"));
    run_until_drained();
    EXPECT_THAT(publisher_.first_acknowledgements("a"), ElementsAre(1));
    EXPECT_THAT(publisher_.first_acknowledgements("b"), ElementsAre(4));
    EXPECT_THAT(events_, Contains(HasSubstr("headers")));
    const StoreStatus status = sync_wait(sqlite::open_admin(db_)->status());
    EXPECT_EQ(status.lanes_held, 1U);
    EXPECT_EQ(status.dead, 1U);
    ASSERT_EQ(status.warnings.size(), 1U) << "one thing to do, one line";
    EXPECT_THAT(status.warnings[0], HasSubstr("1 dead letter"));

    // Mended, it goes out before what waited for it.
    program_.run("update outbox set headers = '{}' where sequence = 2");
    MessageFilter filter;
    filter.state = MessageState::dead;
    EXPECT_EQ(sync_wait(sqlite::open_admin(db_)->replay(filter, {})), 1U);
    run_until_drained();
    EXPECT_THAT(publisher_.first_acknowledgements("a"), ElementsAre(1, 2, 3));
    EXPECT_THAT(sync_wait(sqlite::open_admin(db_)->status()).warnings, IsEmpty());
}

TEST_F(SqliteRelay, a_row_that_can_never_be_sent_is_passed_over_when_the_policy_is_to_skip) {
    options_.policy = DeadLetterPolicy::skip;
    program_.run(insert_sql("a", "1"));
    program_.run("insert into outbox (topic, aggregate_id, payload) values ('', 'a', 'bad')");
    program_.run(insert_sql("a", "2"));
    run_until_drained();
    EXPECT_THAT(publisher_.first_acknowledgements("a"), ElementsAre(1, 3));
    EXPECT_EQ(sync_wait(sqlite::open_admin(db_)->status()).lanes_held, 0U);
}

TEST_F(SqliteRelay, a_held_lane_goes_on_when_an_operator_decides_while_it_runs) {
    publisher_.verdict = [](const StoredMessage& m) {
        return m.payload == "bad" ? Verdict::refuse : Verdict::acknowledge;
    };
    program_.run(insert_sql("a", "bad"));
    for (int i = 0; i < 200; ++i)
        program_.run(insert_sql("a", std::to_string(i)));
    start();
    wait_for([&] { return count(3) == 1 && count(2) == 200; });
    MessageFilter filter;
    filter.state = MessageState::dead;
    EXPECT_EQ(sync_wait(sqlite::open_admin(db_)->skip(filter, {})), 1U);
    program_.run(insert_sql("a", "last"));
    wait_for([&] { return count(1) == 201 && program_.number("select count(*) from txm_lane") == 0; });
    stop();
    EXPECT_TRUE(publisher_.is_in_order());
}

TEST_F(SqliteRelay, keeps_its_lease_while_the_broker_hangs_and_memory_is_full) {
    feed_options_.lease_term = 3s;
    feed_ = std::make_unique<sqlite::OutboxFeed>(db_, feed_options_);
    options_.max_in_flight = 4;
    options_.drain_deadline = 0ms;
    publisher_.delay = 24h;
    program_.run(insert_many_sql("a", 100, 100));
    start();
    wait_for([&] { return publisher_.sends > 0; });
    const auto expires = [&] {
        return program_.number("select expires_ms from txm_lease where name = 'outbox:outbox'");
    };
    const long at_first = expires();
    wait_for([&] { return expires() > at_first + 3'500; });
    EXPECT_EQ(relay_->statistics().lease_losses, 0U);
    stop();
}

TEST_F(SqliteRelay, loses_its_lease_and_takes_it_again_without_losing_order) {
    publisher_.delay = 1ms;
    program_.run(insert_many_sql("a", 400, 5));
    start();
    for (std::uint64_t losses = 1; losses < 5; ++losses) {
        // It has the lease again, not only forgotten yet that it lost it.
        wait_for([&] {
            return program_.number("select count(*) from txm_lease where holds_byte = 1") == 1 &&
                   relay_->statistics().dispatched > losses * 20;
        });
        // As another owner does who takes it over.
        program_.run("update txm_lease set fence = fence + 1, expires_ms = 0, holds_byte = 0");
        program_.run(insert_many_sql("a", 10, 5));
        wait_for([&] { return relay_->statistics().lease_losses >= losses; });
    }
    wait_for([&] { return count(1) == 440; });
    stop();
    EXPECT_TRUE(publisher_.is_in_order());
}

}  // namespace
}  // namespace txm::test
