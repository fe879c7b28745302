#include "integration/sqlite_feed_files.hpp"
#include "txm/error.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>
#include <functional>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

/// Another relay: a process of its own, which tells how far it is through a pipe and goes on when it is told to.
/// Forked before this process opens the database: a connection must not be carried over a fork.
class OtherRelay {
public:
    explicit OtherRelay(const std::function<int(OtherRelay&)>& body) {
        if (::pipe(to_test_) != 0 || ::pipe(to_relay_) != 0)
            throw std::runtime_error("no pipe");
        pid_ = ::fork();
        if (pid_ != 0)
            return;
        int code = 99;
        try {
            code = body(*this);
        } catch (...) {
            code = 98;
        }
        ::_exit(code);
    }
    ~OtherRelay() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        for (const int fd : {to_test_[0], to_test_[1], to_relay_[0], to_relay_[1]})
            ::close(fd);
    }
    OtherRelay(const OtherRelay&) = delete;
    OtherRelay& operator=(const OtherRelay&) = delete;

    // Of the relay.
    void say_ready() { send(to_test_[1]); }
    void wait_until_told() { receive(to_relay_[0]); }
    // Of the test.
    void wait_until_ready() { receive(to_test_[0]); }
    void tell() { send(to_relay_[1]); }
    void signal(int number) const {
        ::kill(pid_, number);
        if (number == SIGSTOP)
            ::waitpid(pid_, nullptr, WUNTRACED);
    }
    int exit_code() {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }

private:
    static void send(int fd) {
        if (::write(fd, "x", 1) != 1)
            ::_exit(97);
    }
    static void receive(int fd) {
        char c = 0;
        if (::read(fd, &c, 1) != 1)
            throw std::runtime_error("the other side has ended");
    }

    int to_test_[2]{}, to_relay_[2]{};
    pid_t pid_ = 0;
};

class SqliteTakeover : public testing::Test {
protected:
    static sqlite::FeedOptions options(std::chrono::milliseconds term) {
        sqlite::FeedOptions options;
        options.lease_term = term;
        return options;
    }

    ScratchDirectory directory_;
    const std::string path_ = directory_ / "orders.db";
};

TEST_F(SqliteTakeover, kill_9_frees_the_lease_at_once) {
    OtherRelay killed{[&](OtherRelay& me) {
        me.wait_until_told();
        sqlite::Database db{path_};
        sqlite::OutboxFeed feed{db, options(10min)};
        sync_wait(feed.acquire());
        me.say_ready();
        me.wait_until_told();
        return 0;
    }};
    sqlite::Database db{path_};
    sync_wait(sqlite::create_outbox_table(db));
    killed.tell();
    killed.wait_until_ready();
    killed.signal(SIGKILL);
    // With a term of ten minutes this ends only because the kernel frees the byte.
    sqlite::OutboxFeed feed{db, options(10min)};
    EXPECT_FALSE(sync_wait(feed.acquire()).clean_start);
}

TEST_F(SqliteTakeover, relay_sigstop_takeover_sigcont) {
    OtherRelay frozen{[&](OtherRelay& me) {
        me.wait_until_told();
        sqlite::Database db{path_};
        sqlite::OutboxFeed feed{db, options(300ms)};
        FeedReader relay{feed};
        relay.acquire();
        const auto messages = relay.read();
        me.say_ready();
        me.wait_until_told();  // frozen here, and woken when another relay has its lease
        try {
            relay.settle(messages);
            return 1;
        } catch (const FenceLostError&) {}
        try {
            relay.read();
            return 2;
        } catch (const FenceLostError&) {
            return 0;
        }
    }};
    sqlite::Database db{path_};
    sync_wait(sqlite::create_outbox_table(db));
    ForeignProgram program{path_};
    program.run(insert_sql("a", "1"));
    program.run(insert_sql("a", "2"));
    frozen.tell();
    frozen.wait_until_ready();
    frozen.signal(SIGSTOP);

    sqlite::OutboxFeed feed{db, options(10s)};
    FeedReader relay{feed};
    EXPECT_FALSE(relay.acquire().clean_start);  // the byte is still locked: it waits for the end of the term
    const auto messages = relay.read();
    ASSERT_THAT(payloads(messages), ElementsAre("1", "2"));
    relay.settle({messages.at(0)});

    frozen.signal(SIGCONT);
    frozen.tell();
    EXPECT_EQ(frozen.exit_code(), 0);
    EXPECT_EQ(program.text("select group_concat(state) from (select state from outbox order by sequence)"), "1,0");
    relay.settle({messages.at(1)});
    EXPECT_TRUE(relay.is_drained());
}

}  // namespace
}  // namespace txm::test
