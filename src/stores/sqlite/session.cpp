#include "session_impl.hpp"
#include "txm/error.hpp"
#include "txm/sqlite.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace txm::sqlite {

namespace detail {
namespace {

Staged kind_of(const std::vector<StagedWrite>& writes) noexcept {
    if (writes.empty())
        return Staged::nothing;
    const bool inbox_only = std::all_of(writes.begin(), writes.end(),
                                        [](const auto& write) { return std::holds_alternative<InboxRow>(write); });
    return inbox_only ? Staged::inbox_only : Staged::writes;
}

/// Everything that a session staged, owned by the queue from hand-over on.
struct CommitJob final : AwaitedJob {
    explicit CommitJob(std::vector<StagedWrite> what) : writes(std::move(what)) {}
    void apply(Connection& connection) override { write_all(connection, writes); }

    const std::vector<StagedWrite> writes;
};

/// What was staged before, and then a statement whose rows are wanted.
struct QueryJob final : AwaitedJob {
    QueryJob(std::vector<StagedWrite> staged, Statement what) : writes(std::move(staged)), statement(std::move(what)) {}
    void apply(Connection& connection) override {
        write_all(connection, writes);
        staged_is_written = true;
        Query query = prepare_bound(connection, statement);
        is_read_only = query.is_read_only();
        if (!statement.expected_rows()) {
            query.run(&rows);
            return;
        }
        // Another number of rows undoes the statement alone, as an error of SQLite's does.
        connection.prepare("savepoint txm_query").run();
        try {
            check_rows(statement, query.run(&rows));
        } catch (...) {
            if (connection.in_transaction()) {
                query.reset();
                connection.prepare("rollback to txm_query").run();
                connection.prepare("release txm_query").run();
            }
            throw;
        }
        connection.prepare("release txm_query").run();
    }

    const std::vector<StagedWrite> writes;
    const Statement statement;
    std::vector<Row> rows;
    bool staged_is_written = false;
    bool is_read_only = true;
};

}  // namespace

void SessionImpl::check_usable() const {
    if (condition == Condition::unknown)
        throw CommitOutcomeUnknown(
            "it is not known whether the last commit took effect: resolve() or rollback() first");
}

void SessionImpl::stage(StagedWrite write) {
    check_usable();
    if (writes.empty())
        writes.reserve(4);
    writes.push_back(std::move(write));
}

bool SessionImpl::has_staged(const InboxRow& row) const noexcept {
    return std::any_of(writes.begin(), writes.end(), [&](const StagedWrite& write) {
        const auto* const other = std::get_if<InboxRow>(&write);
        return other && other->is_same(row);
    });
}

void SessionImpl::discard() noexcept {
    writes.clear();
    executed = Staged::nothing;
    witness = nullptr;
    if (held)
        held->rollback();
    held.reset();
}

void SessionImpl::hold() {
    if (held)
        return;
    held = std::make_shared<Hold>();
    database.writer().submit(held);
}

std::shared_ptr<SessionImpl> alive(const std::weak_ptr<SessionImpl>& session) {
    auto locked = session.lock();
    if (!locked)
        throw std::logic_error("txm: the repository outlived its session");
    return locked;
}

}  // namespace detail

using detail::SessionImpl;
using Condition = SessionImpl::Condition;

Session::Session(Database& db) : impl_(std::make_shared<SessionImpl>(db.impl())) {}

Session::~Session() {
    impl_->discard();
}

void Session::add(Statement statement) {
    impl_->stage(std::move(statement));
}

awaitable<std::vector<Row>> Session::read(Statement statement) {
    const auto work = [&statement](detail::Connection& connection) {
        detail::Query query = detail::prepare_bound(connection, statement);
        if (!query.is_read_only())
            throw Error(Errc::statement_failed,
                        "read() cannot change data: use add() or query() for `" + statement.sql().substr(0, 80) + "`");
        std::vector<Row> rows;
        detail::check_rows(statement, query.run(&rows));
        return rows;
    };
    co_return co_await impl_->database.readers().run(work);
}

awaitable<std::vector<Row>> Session::query(Statement statement) {
    impl_->check_usable();
    const std::shared_ptr<SessionImpl> impl = impl_;
    impl->hold();
    const Staged staged = detail::kind_of(impl->writes);
    if (!impl->witness)
        impl->witness = detail::witness_of(impl->writes);
    const auto job = std::make_shared<detail::QueryJob>(std::exchange(impl->writes, {}), std::move(statement));
    try {
        co_await impl->held->run(job);
    } catch (...) {
        // A statement that fails undoes itself alone. But what was staged has to be written completely.
        const bool is_over = !job->staged_is_written || !impl->held || !impl->held->is_open();
        if (is_over) {
            impl->discard();
            impl->condition = Condition::failed;
        } else {
            impl->executed = std::max(impl->executed, staged);
        }
        throw;
    }
    impl->executed = std::max({impl->executed, staged, job->is_read_only ? Staged::nothing : Staged::writes});
    if (impl->executed != Staged::nothing)
        impl->condition = Condition::ready;
    co_return std::move(job->rows);
}

awaitable<void> Session::commit() {
    impl_->check_usable();
    const std::shared_ptr<SessionImpl> impl = impl_;
    if (impl->condition == Condition::failed && staged() == Staged::nothing)
        throw Error(
            Errc::commit_failed_before,
            "an earlier commit or query failed, and nothing was staged since: rollback(), or stage the work again");
    before_commit();
    if (impl->writes.empty() && !impl->held)
        co_return;
    // Entering this coroutine was the last point of cancellation: from here on the work belongs to the store.
    const bool writes_something = staged() != Staged::nothing;
    impl->condition = Condition::failed;
    const auto job = std::make_shared<detail::CommitJob>(std::exchange(impl->writes, {}));
    const std::shared_ptr<detail::Hold> held = std::exchange(impl->held, nullptr);
    impl->executed = Staged::nothing;
    job->witness = impl->witness ? std::exchange(impl->witness, nullptr) : detail::witness_of(job->writes);
    try {
        if (held)
            co_await held->commit(job);
        else
            co_await impl->database.writer().run(job);
    } catch (const CommitOutcomeUnknown&) {
        impl->condition = Condition::unknown;
        impl->witness = job->witness;
        throw;
    }
    impl->condition = Condition::ready;
    if (writes_something)
        committed();
}

void Session::rollback() noexcept {
    impl_->discard();
    impl_->condition = Condition::ready;
}

awaitable<CommitOutcome> Session::resolve() {
    const std::shared_ptr<SessionImpl> impl = impl_;
    if (impl->condition != Condition::unknown)
        throw std::logic_error("txm: resolve() is for a session whose commit threw CommitOutcomeUnknown");
    bool is_there = false;
    try {
        is_there = co_await impl->database.writer().resolve(impl->witness);
    } catch (const Error&) {
        co_return CommitOutcome::still_unknown;
    }
    impl->witness = nullptr;
    impl->condition = is_there ? Condition::ready : Condition::failed;
    if (is_there)
        committed();
    co_return is_there ? CommitOutcome::committed : CommitOutcome::rolled_back;
}

Staged Session::staged() const noexcept {
    return std::max(detail::kind_of(impl_->writes), impl_->executed);
}

}  // namespace txm::sqlite
