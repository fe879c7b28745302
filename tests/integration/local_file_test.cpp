#include "support/broker_messages.hpp"
#include "support/scratch_directory.hpp"
#include "txm/error.hpp"
#include "txm/local.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

namespace txm::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

/// Another program that opens the broker's file.
class Foreign {
public:
    explicit Foreign(const std::string& path) {
        sqlite3_open(path.c_str(), &db_);
        sqlite3_busy_timeout(db_, 10'000);
    }
    ~Foreign() { sqlite3_close(db_); }
    Foreign(const Foreign&) = delete;
    Foreign& operator=(const Foreign&) = delete;

    void execute(const char* sql) {
        EXPECT_EQ(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db_);
    }
    std::int64_t number(const char* sql) {
        sqlite3_stmt* query = nullptr;
        sqlite3_prepare_v2(db_, sql, -1, &query, nullptr);
        const std::int64_t result = sqlite3_step(query) == SQLITE_ROW ? sqlite3_column_int64(query, 0) : -1;
        sqlite3_finalize(query);
        return result;
    }

private:
    sqlite3* db_ = nullptr;
};

template <class F>
void expect_unavailable(F&& operation) {
    try {
        operation();
        ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::broker_unavailable) << e.what();
        EXPECT_TRUE(e.retryable());
        EXPECT_THAT(e.what(), HasSubstr("broker.db"));
    }
}

class LocalFile : public testing::Test {
protected:
    static local::SubscriptionOptions group(const std::string& name) {
        local::SubscriptionOptions options{name};
        options.poll_interval = std::chrono::milliseconds{20};
        return options;
    }
    std::unique_ptr<local::Subscription> member(local::SubscriptionOptions options = group("billing")) const {
        return std::make_unique<local::Subscription>(file_, std::vector<std::string>{"orders"}, options);
    }
    static std::vector<StoredMessage> messages(int count, std::size_t size = 10) {
        std::vector<StoredMessage> result;
        for (int i = 0; i < count; ++i)
            result.push_back(message("orders", "customer-" + std::to_string(i % 50), std::string(size, 'x')));
        return result;
    }

    ScratchDirectory directory_;
    const std::string file_ = directory_ / "broker.db";
};

TEST_F(LocalFile, a_subscription_waits_for_the_file) {
    const auto subscription = member();
    std::vector<Delivery> received;
    std::thread receiver([&] { received = receive(*subscription, 1); });
    {
        local::Publisher publisher(file_);
        publish(publisher, messages(1));
    }
    receiver.join();
    EXPECT_EQ(received.size(), 1U);
}

TEST_F(LocalFile, nothing_to_drain_where_there_is_no_file) {
    const auto subscription = member();
    EXPECT_THAT(drain(*subscription), IsEmpty());
    EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(LocalFile, a_full_disk_acknowledges_nothing_and_loses_nothing) {
    local::Publisher publisher(file_);
    publish(publisher, messages(10));
    const auto sent = messages(1'000, 10'000);

    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    rlimit limit = before;
    limit.rlim_cur = 2'000'000;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    PublishBatch batch(sent);
    expect_unavailable([&] { sync_wait(publisher.publish(batch)); });
    ::setrlimit(RLIMIT_FSIZE, &before);
    for (std::size_t i = 0; i < batch.size(); ++i)
        ASSERT_EQ(batch.report(i), PublishBatch::Report::unknown);
    EXPECT_EQ(Foreign(file_).number("select count(*) from message"), 10);

    EXPECT_EQ(publish(publisher, sent), 1'000U);
    EXPECT_EQ(Foreign(file_).number("select count(*) from message"), 1'010);
}

TEST_F(LocalFile, a_file_locked_by_another_program_is_unavailable_until_it_lets_go) {
    local::PublisherOptions options;
    options.busy_timeout = std::chrono::milliseconds{20};
    local::Publisher publisher(file_, options);
    Foreign foreign(file_);
    foreign.execute("begin immediate");
    const auto sent = messages(3);
    expect_unavailable([&] { publish(publisher, sent); });
    foreign.execute("rollback");
    EXPECT_EQ(publish(publisher, sent), 3U);
}

TEST_F(LocalFile, a_damaged_file_is_unavailable) {
    std::ofstream(file_) << std::string(20'000, 'z');
    expect_unavailable([&] { local::Publisher{file_}; });
    expect_unavailable([&] { local::status(file_); });
    const auto subscription = member();
    expect_unavailable([&] { sync_wait(subscription->receive(1)); });
}

TEST_F(LocalFile, a_file_of_a_newer_program_is_refused) {
    local::Publisher{file_};
    Foreign(file_).execute("update broker_meta set value = 99 where key = 'schema_version'");
    try {
        local::Publisher{file_};
        ADD_FAILURE();
    } catch (const Error& e) {
        EXPECT_EQ(e.code(), Errc::schema_too_new);
    }
}

TEST_F(LocalFile, status_tells_how_far_groups_are_behind) {
    expect_unavailable([&] { local::status(file_); });
    local::Publisher publisher(file_);
    EXPECT_THAT(local::status(file_), IsEmpty());
    publish(publisher, messages(30));
    const auto subscription = member();
    const auto received = receive(*subscription, 30);
    acknowledge(*subscription, std::span(received).last(12));
    const auto groups = local::status(file_);
    ASSERT_EQ(groups.size(), 1U);
    EXPECT_EQ(groups[0].topic, "orders");
    EXPECT_EQ(groups[0].group, "billing");
    EXPECT_EQ(groups[0].lag, 18U);
    EXPECT_TRUE(groups[0].oldest_age);
    acknowledge(*subscription, std::span(received).first(18));
    EXPECT_EQ(local::status(file_)[0].lag, 0U);
    EXPECT_FALSE(local::status(file_)[0].oldest_age);
}

TEST_F(LocalFile, the_first_message_unacknowledged_for_long_keeps_only_itself) {
    constexpr int count = 30'000;
    local::Publisher publisher(file_);
    for (int i = 0; i < count / 1'000; ++i)
        publish(publisher, messages(1'000));
    Uuid first;
    {
        const auto subscription = member();
        for (int received = 0; received < count;) {
            auto some = sync_wait(subscription->receive(512));
            received += static_cast<int>(some.size());
            if (first.is_nil()) {
                first = some[0].message.message_id;
                some.erase(some.begin());
            }
            acknowledge(*subscription, some);
        }
        EXPECT_EQ(local::status(file_)[0].lag, 1U);
    }
    const auto subscription = member();
    const auto rest = drain(*subscription);
    ASSERT_EQ(rest.size(), 1U);
    EXPECT_EQ(rest[0].message.message_id, first);
}

class LocalRetention : public LocalFile {
protected:
    /// Lets a publisher look for old messages now, until `is_done`.
    template <class F>
    void purge_until(F is_done) {
        local::PublisherOptions options;
        options.retention = std::chrono::seconds{0};
        Foreign foreign(file_);
        do {
            foreign.execute("update broker_meta set value = 0 where key = 'purged_at'");
            local::Publisher publisher(file_, options);
            publish(publisher, messages(1));
        } while (!is_done(foreign.number("select count(*) from message where topic = 'orders'")));
    }
};

TEST_F(LocalRetention, what_every_group_settled_is_deleted_and_nothing_else) {
    local::Publisher publisher(file_);
    publish(publisher, messages(600));
    auto options = group("billing");
    options.lease_term = std::chrono::milliseconds{300};
    const auto billing = member(options);
    acknowledge(*billing, receive(*billing, 600));
    const auto shipping = member(group("shipping"));
    const auto held = receive(*shipping, 600);

    int rounds = 0;
    purge_until([&](std::int64_t) { return ++rounds == 5; });
    EXPECT_GE(Foreign(file_).number("select count(*) from message where topic = 'orders'"), 600);

    acknowledge(*shipping, held);
    std::atomic<bool> is_over = false;
    const auto keep_up = [&](local::Subscription& subscription) {
        while (!is_over)
            acknowledge(subscription, sync_wait(subscription.receive(100)));
    };
    std::thread one([&] { keep_up(*billing); }), two([&] { keep_up(*shipping); });
    purge_until([](std::int64_t left) { return left < 300; });
    is_over = true;
    billing->interrupt();
    shipping->interrupt();
    one.join();
    two.join();
}

TEST_F(LocalRetention, an_offset_is_not_used_twice_after_everything_was_deleted) {
    local::Publisher publisher(file_);
    publish(publisher, messages(5));
    const auto subscription = member();
    acknowledge(*subscription, receive(*subscription, 5));
    Foreign(file_).execute("delete from message");
    publish(publisher, messages(1));
    EXPECT_EQ(receive(*subscription, 1).size(), 1U);
}

TEST_F(LocalRetention, a_topic_without_groups_is_kept_for_longer) {
    local::Publisher publisher(file_);
    publish(publisher, messages(100));
    int rounds = 0;
    purge_until([&](std::int64_t) { return ++rounds == 5; });
    EXPECT_GE(Foreign(file_).number("select count(*) from message"), 100);
}

}  // namespace
}  // namespace txm::test
