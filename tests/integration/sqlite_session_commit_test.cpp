#include "sqlite_session_fixture.hpp"

#include <sys/syscall.h>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <future>

namespace {

std::atomic<int> flushes_to_fail = 0;

int flush(long call, int fd) {
    char name[4096] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const auto size = ::readlink(link.c_str(), name, sizeof name - 1);
    const std::string_view file(name, size > 0 ? static_cast<std::size_t>(size) : 0);
    if (file.ends_with("-wal") && flushes_to_fail > 0) {
        --flushes_to_fail;
        errno = EIO;
        return -1;
    }
    return static_cast<int>(::syscall(call, fd));
}

}  // namespace

// A disk that fails: SQLite calls these instead of the C library's.
extern "C" int fdatasync(int fd) {
    return flush(SYS_fdatasync, fd);
}
extern "C" int fsync(int fd) {
    return flush(SYS_fsync, fd);
}

namespace txm::test {
namespace {

class SqliteCommit : public SqliteSession {
protected:
    ~SqliteCommit() override { flushes_to_fail = 0; }
};

TEST_F(SqliteCommit, sessions_share_a_transaction_and_fail_alone) {
    Group group{*db};
    group.add().add("insert into account values ('a', 1)");
    group.add().add("insert into account values ('a', 2)");
    auto& third = group.add();
    third.add("insert into account values ('b', 1)");
    third.add("insert into nowhere values (1)");
    group.add().add("insert into account values ('c', 1)");
    const auto results = group.commit();
    EXPECT_EQ(message_of(results[0]), "success");
    EXPECT_NE(message_of(results[1]).find("UNIQUE"), std::string::npos);
    EXPECT_NE(message_of(results[2]).find("nowhere"), std::string::npos);
    EXPECT_EQ(message_of(results[3]), "success");
    EXPECT_EQ(raw("select group_concat(id) from account order by id"), "a,c");
}

TEST_F(SqliteCommit, group_or_rollback_replays_others) {
    raw("insert into account values ('taken', 0)");
    Group group{*db};
    group.add().add("insert into account values ('a', 1)");
    auto& culprit = group.add();
    culprit.add("insert into account values ('b', 1)");
    culprit.add("insert or rollback into account values ('taken', 1)");
    culprit.add("insert into account values ('after', 1)");
    group.add().add("insert into account values ('c', 1)");
    const auto results = group.commit();
    EXPECT_EQ(message_of(results[0]), "success");
    EXPECT_NE(message_of(results[1]).find("UNIQUE"), std::string::npos) << message_of(results[1]);
    EXPECT_EQ(message_of(results[2]), "success");
    EXPECT_EQ(raw("select group_concat(id) from (select id from account order by id)"), "a,c,taken");
}

TEST_F(SqliteCommit, job_that_hides_how_it_ended_the_group_is_told) {
    struct Hiding final : sqlite::detail::WriteJob {
        void apply(sqlite::detail::Connection& connection) override {
            try {
                connection.prepare_user("insert or rollback into account values ('taken', 1)").run();
            } catch (const Error&) {}
        }
        void finish(std::exception_ptr error) noexcept override { result.set_value(error); }
        std::promise<std::exception_ptr> result;
    };
    raw("insert into account values ('taken', 0)");
    Group group{*db};
    group.add().add("insert into account values ('a', 1)");
    const auto hiding = std::make_shared<Hiding>();
    db->impl().writer().submit(hiding);
    const auto results = group.commit();
    EXPECT_EQ(message_of(results[0]), "success");
    EXPECT_NE(message_of(hiding->result.get_future().get()).find("rolled the transaction back"), std::string::npos);
    EXPECT_EQ(raw("select group_concat(id) from (select id from account order by id)"), "a,taken");
}

TEST_F(SqliteCommit, group_raise_rollback_in_a_trigger) {
    raw("create trigger no_b before insert on account when new.id = 'b'"
        " begin select raise(rollback, 'no b please'); end");
    Group group{*db};
    group.add().add("insert into account values ('a', 1)");
    group.add().add("insert into account values ('b', 1)");
    group.add().add("insert into account values ('b', 2)");
    group.add().add("insert into account values ('c', 1)");
    const auto results = group.commit();
    EXPECT_EQ(message_of(results[0]), "success");
    EXPECT_NE(message_of(results[1]).find("no b please"), std::string::npos);
    EXPECT_NE(message_of(results[2]).find("no b please"), std::string::npos);
    EXPECT_EQ(message_of(results[3]), "success");
    EXPECT_EQ(raw("select group_concat(id) from (select id from account order by id)"), "a,c");
}

TEST_F(SqliteCommit, group_disk_full_tells_nobody_success) {
    const auto limit = [&](const std::string& pages) {
        const std::string sql = "pragma max_page_count = " + pages;
        db->impl().writer().transact_now([&](sqlite::detail::Connection& c) { c.execute(sql.c_str()); });
    };
    limit(raw("select page_count + 4 from pragma_page_count"));
    Group group{*db};
    const std::string large(30'000, 'x');
    for (int i = 0; i < 4; ++i)
        group.add().add("insert into account values (?, 1)", std::to_string(i) + large);
    group.add().add("insert into account values ('small', 1)");
    const auto results = group.commit();
    for (int i = 0; i < 4; ++i) {
        EXPECT_NE(message_of(results[static_cast<std::size_t>(i)]).find("no room"), std::string::npos);
    }
    EXPECT_EQ(message_of(results[4]), "success");
    EXPECT_EQ(raw("select group_concat(id) from account"), "small");

    limit("1000000");
    sqlite::Session session{*db};
    session.add("insert into account values (?, 1)", large);
    sync_wait(session.commit());
    EXPECT_EQ(count("account"), "2");
}

TEST_F(SqliteCommit, group_deferred_fk_fails_alone) {
    Group group{*db};
    group.add().add("insert into account values ('a', 1)");
    group.add().add("insert into child values (7)");
    group.add().add("insert into account values ('b', 1)");
    const auto results = group.commit();
    EXPECT_EQ(message_of(results[0]), "success");
    EXPECT_NE(message_of(results[1]).find("foreign key"), std::string::npos) << message_of(results[1]);
    EXPECT_EQ(message_of(results[2]), "success");
    EXPECT_EQ(count("child"), "0");
    EXPECT_EQ(count("account"), "2");

    sqlite::Session alone{*db};
    alone.add("insert into child values (7)");
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(alone.commit()); })->native_code(), "SQLITE_CONSTRAINT_FOREIGNKEY");
    alone.add("insert into child values (7)");
    alone.add("insert into parent values (7)");
    sync_wait(alone.commit());
    EXPECT_EQ(count("child"), "1");
}

TEST_F(SqliteCommit, one_id_published_by_two_sessions_of_a_group) {
    Group group{*db};
    const Noted noted;
    auto& first = group.add();
    auto& second = group.add();
    sqlite::OutboxRepository a{"outbox", first, topics()}, b{"outbox", second, topics()};
    a.publish(noted);
    b.publish(noted);
    const auto results = group.commit();
    EXPECT_EQ(message_of(results[0]), "success");
    EXPECT_THROW(std::rethrow_exception(results[1]), MessageAlreadyPublishedError);
    EXPECT_EQ(count("outbox"), "1");
}

TEST_F(SqliteCommit, failed_flush_is_a_failure_that_stays_one) {
    // Nobody else has the file open: then the next one to open it recovers what is complete in the WAL.
    db.reset();
    const int code = in_child([&] {
        sqlite::Database mine{path, options};
        sqlite::Session session{mine};
        session.add("insert into account values ('kept', 1)");
        sync_wait(session.commit());  // flushes the header of the WAL: the next flush is that of the frames
        session.add("insert into account values ('ghost', 1)");
        sqlite::OutboxRepository events{"outbox", session, topics()};
        events.publish(Noted{});
        flushes_to_fail = 1;
        try {
            sync_wait(session.commit());
            return 1;
        } catch (const CommitOutcomeUnknown&) {
            return 2;
        } catch (const Error& error) {
            if (error.code() != Errc::store_unavailable)
                return 3;
        }
        ::raise(SIGKILL);
        return 4;
    });
    EXPECT_EQ(code, 128 + SIGKILL);
    open();
    EXPECT_EQ(raw("select group_concat(id) from account"), "kept");
    EXPECT_EQ(count("outbox"), "0");
}

TEST_F(SqliteCommit, outcome_unknown_until_the_disk_is_well_again) {
    sqlite::Session session{*db};
    session.add("insert into account values ('a', 1)");
    flushes_to_fail = 1'000;
    thrown_by<CommitOutcomeUnknown>([&] { sync_wait(session.commit()); });
    thrown_by<CommitOutcomeUnknown>([&] { session.add("select 1"); });
    thrown_by<CommitOutcomeUnknown>([&] { sync_wait(session.commit()); });
    EXPECT_EQ(sync_wait(session.resolve()), CommitOutcome::still_unknown);

    sqlite::Session other{*db};
    other.add("insert into account values ('b', 1)");
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(other.commit()); })->code(), Errc::store_unavailable);

    flushes_to_fail = 0;
    EXPECT_EQ(sync_wait(session.resolve()), CommitOutcome::rolled_back);
    EXPECT_EQ(thrown_by<Error>([&] { sync_wait(session.commit()); })->code(), Errc::commit_failed_before);
    session.add("insert into account values ('a', 2)");
    sync_wait(session.commit());
    EXPECT_EQ(raw("select group_concat(id || credit) from account"), "a2");
}

TEST_F(SqliteCommit, group_whose_flush_fails_fails_for_all) {
    Group group{*db};
    for (int i = 0; i < 3; ++i)
        group.add().add("insert into account values (?, 1)", i);
    flushes_to_fail = 1;
    for (const auto& result : group.commit())
        EXPECT_NE(message_of(result).find("disk"), std::string::npos) << message_of(result);
    EXPECT_EQ(count("account"), "0");
}

}  // namespace
}  // namespace txm::test
