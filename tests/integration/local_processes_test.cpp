#include "support/broker_messages.hpp"
#include "support/scratch_directory.hpp"
#include "txm/local.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <thread>

namespace txm::test {
namespace {

bool can_write(const std::string& file) {
    sqlite3* db = nullptr;
    sqlite3_open(file.c_str(), &db);
    const bool result = sqlite3_exec(db, "begin immediate", nullptr, nullptr, nullptr) == SQLITE_OK;
    sqlite3_close(db);
    return result;
}

/// A local_member, and what it printed.
class Member {
public:
    explicit Member(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), LOCAL_MEMBER);
        std::vector<char*> argv;
        for (auto& argument : arguments)
            argv.push_back(argument.data());
        argv.push_back(nullptr);
        int ends[2];
        if (::pipe(ends) != 0)
            throw std::runtime_error("no pipe");
        pid_ = ::fork();
        if (pid_ == 0) {
            ::dup2(ends[1], STDOUT_FILENO);
            ::close(ends[0]);
            ::close(ends[1]);
            ::execv(argv[0], argv.data());
            ::_exit(127);
        }
        ::close(ends[1]);
        out_ = ::fdopen(ends[0], "r");
    }
    ~Member() {
        signal(SIGCONT);
        kill();
        std::fclose(out_);
    }

    std::string line() {
        char buffer[200];
        if (!std::fgets(buffer, sizeof buffer, out_))
            return {};
        std::string text{buffer};
        text.pop_back();
        return text;
    }
    void signal(int number) const {
        if (pid_ > 0)
            ::kill(pid_, number);
    }
    void kill() {
        signal(SIGKILL);
        if (pid_ > 0)
            ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
    /// Stops it at a moment when it holds no lock of these files: everybody would wait for it.
    void freeze(const std::vector<std::string>& files) const {
        for (;;) {
            signal(SIGSTOP);
            ::waitpid(pid_, nullptr, WUNTRACED);
            if (std::ranges::all_of(files, can_write))
                return;
            signal(SIGCONT);
        }
    }

private:
    pid_t pid_ = -1;
    std::FILE* out_ = nullptr;
};

class LocalProcesses : public testing::Test {
protected:
    LocalProcesses() {
        sqlite3_open(effects_.c_str(), &db_);
        sqlite3_busy_timeout(db_, 10'000);
        sqlite3_exec(db_,
                     "pragma journal_mode = wal; create table effect (n integer primary key, message_id text unique, "
                     "aggregate text, payload text)",
                     nullptr, nullptr, nullptr);
    }
    ~LocalProcesses() override { sqlite3_close(db_); }

    /// `rounds` messages of each of 24 aggregates, numbered on from the last call.
    void publish_rounds(int rounds) {
        std::vector<StoredMessage> batch;
        for (int i = 0; i < rounds; ++i, ++round_)
            for (int c = 0; c < 24; ++c)
                batch.push_back(message("orders", "customer-" + std::to_string(c), std::to_string(round_)));
        ASSERT_EQ(publish(publisher_, batch), batch.size());
        published_ += batch.size();
    }

    std::unique_ptr<local::Subscription> member(std::chrono::milliseconds term) {
        local::SubscriptionOptions options{"billing"};
        options.lease_term = term;
        options.poll_interval = std::chrono::milliseconds{20};
        return std::make_unique<local::Subscription>(file_, std::vector<std::string>{"orders"}, options);
    }

    std::map<std::string, std::vector<int>> effects() const {
        std::map<std::string, std::vector<int>> result;
        sqlite3_stmt* query = nullptr;
        sqlite3_prepare_v2(db_, "select aggregate, payload from effect order by n", -1, &query, nullptr);
        while (sqlite3_step(query) == SQLITE_ROW)
            result[reinterpret_cast<const char*>(sqlite3_column_text(query, 0))].push_back(
                sqlite3_column_int(query, 1));
        sqlite3_finalize(query);
        return result;
    }
    std::size_t effect_count() const {
        std::size_t count = 0;
        for (const auto& [aggregate, payloads] : effects())
            count += payloads.size();
        return count;
    }
    void wait_for_all_effects() const {
        while (effect_count() < published_)
            ::usleep(10'000);
    }
    void expect_each_once_in_order() const {
        for (const auto& [aggregate, payloads] : effects()) {
            EXPECT_EQ(payloads.size(), static_cast<std::size_t>(round_ - 1)) << aggregate;
            EXPECT_TRUE(std::ranges::is_sorted(payloads)) << aggregate << ": " << testing::PrintToString(payloads);
        }
    }

    ScratchDirectory directory_;
    const std::string file_ = directory_ / "broker.db";
    const std::string effects_ = directory_ / "effects.db";
    local::Publisher publisher_{file_};
    sqlite3* db_ = nullptr;
    int round_ = 1;
    std::size_t published_ = 0;
};

TEST_F(LocalProcesses, a_killed_member_is_replaced_without_waiting_for_its_term) {
    publish_rounds(1);
    Member killed({file_, "billing", "86400000", "hold"});
    for (std::size_t i = 0; i < published_; ++i)
        killed.line();
    killed.kill();
    const auto heir = member(std::chrono::hours{24});
    const auto received = receive(*heir, published_);
    EXPECT_EQ(received.size(), published_);
    EXPECT_TRUE(std::ranges::all_of(received, &Delivery::redelivered));
}

TEST_F(LocalProcesses, a_member_that_left_cleanly_leaves_no_doubt) {
    publish_rounds(1);
    {
        const auto first = member(std::chrono::hours{24});
        acknowledge(*first, receive(*first, published_));
    }
    publish_rounds(1);
    const auto second = member(std::chrono::hours{24});
    EXPECT_TRUE(std::ranges::none_of(receive(*second, 24), &Delivery::redelivered));
}

TEST_F(LocalProcesses, two_processes_effect_order) {
    Member frozen({file_, "billing", "600", "apply", effects_});
    publish_rounds(20);
    frozen.line();
    frozen.freeze({file_, effects_});
    publish_rounds(20);
    Member other({file_, "billing", "600", "apply", effects_});
    wait_for_all_effects();  // the frozen one's partitions were taken over
    publish_rounds(20);
    frozen.signal(SIGCONT);  // it goes on with what it had received
    publish_rounds(20);
    wait_for_all_effects();
    publish_rounds(20);
    wait_for_all_effects();
    expect_each_once_in_order();
}

TEST_F(LocalProcesses, members_that_come_and_are_killed_do_not_disturb_the_order) {
    std::vector<std::unique_ptr<Member>> members;
    const auto start = [&] {
        members.push_back(
            std::make_unique<Member>(std::vector<std::string>{file_, "billing", "600", "apply", effects_}));
    };
    start();
    for (int i = 0; i < 8; ++i) {
        publish_rounds(5);
        start();
        // The oldest dies with some of it done and some under way.
        while (effect_count() < published_ - 60)
            ::usleep(5'000);
        if (members.size() > 2)
            members.erase(members.begin());
    }
    wait_for_all_effects();
    expect_each_once_in_order();
}

TEST_F(LocalProcesses, a_late_member_gets_its_share) {
    Member first({file_, "billing", "86400000", "apply", effects_});
    publish_rounds(1);
    wait_for_all_effects();
    const auto late = member(std::chrono::hours{24});
    // Of so many aggregates some are in the half that the first gives up.
    std::vector<Delivery> received;
    std::atomic<bool> is_over = false;
    std::thread receiver([&] {
        received = receive(*late, 1);
        is_over = true;
    });
    while (!is_over) {
        publish_rounds(1);
        ::usleep(20'000);
    }
    receiver.join();
    EXPECT_FALSE(received.empty());
}

}  // namespace
}  // namespace txm::test
