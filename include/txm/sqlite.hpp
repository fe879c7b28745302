#pragma once

#include "txm/inbox.hpp"
#include "txm/outbox.hpp"
#include "txm/session.hpp"
#include "txm/statement.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// The embedded store: one file, no server.
namespace txm::sqlite {

/// How much a commit waits for.
enum class Synchronous {
    full,    ///< every commit is flushed: survives a power cut
    normal,  ///< survives the end of the process, not a power cut; the relay flushes what it publishes
};

class DatabaseOptions {
public:
    DatabaseOptions() = default;

    Synchronous synchronous = Synchronous::full;
    std::chrono::milliseconds busy_timeout{60'000};  ///< how long to wait for another process' lock
    std::chrono::milliseconds hold_limit{5'000};     ///< how long an interactive session may hold the only writer
    bool create = true;                              ///< make the file when it is missing
};

namespace detail {
struct DatabaseImpl;
struct SessionImpl;
struct InboxSql;
struct OutboxSql;
}  // namespace detail

/// An SQLite file in WAL mode, with its own writer and reader threads: needs no executor, serves any.
/// *Thread safety*: any number of threads. *Lifetime*: must outlive what sessions, feeds and stores do (they may be
/// destroyed after it, and nothing else); its destructor finishes the commits that are queued and rolls back open
/// transactions. An io_context whose coroutines wait for it must run until it has no more work, or outlive it: a thread that
/// has just answered a coroutine is still busy with its executor for a moment.
class Database {
public:
    /// Opens the file. @throws Error(store_unavailable) saying what is wrong with it
    explicit Database(const std::string& path, DatabaseOptions options = {});
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    const std::string& path() const noexcept;

    detail::DatabaseImpl& impl() noexcept { return *impl_; }

private:
    std::unique_ptr<detail::DatabaseImpl> impl_;
};

/// Creates the tables of an outbox (with txm's own tables) or inbox of that name; what exists and fits is left alone.
/// @throws Error(schema_too_new), std::invalid_argument for a name that is not letters, digits and `_`
awaitable<void> create_outbox_table(Database& db, std::string table = "outbox");
awaitable<void> create_inbox_table(Database& db, std::string table = "inbox");

/// The SQL that they run, for people who keep their own migrations.
std::string outbox_schema(const std::string& table = "outbox");
std::string inbox_schema(const std::string& table = "inbox");

/// A transaction in the making, see txm::Session. Sessions that only staged share one flush when they commit at the same
/// time; each still succeeds or fails alone.
/// SQL of a session must not begin or end transactions, attach databases or set pragmas.
class Session final : public txm::Session {
public:
    /// No I/O. *Lifetime*: `db` must outlive it.
    explicit Session(Database& db);
    ~Session() override;

    /// Stages a write. Nothing is checked before commit().
    template <class... Args>
    void add(std::string sql, Args&&... args) {
        add(Statement{std::move(sql), std::forward<Args>(args)...});
    }
    void add(Statement statement);

    /// Reads committed data; opens nothing, and does not see what is staged.
    template <class... Args>
    awaitable<std::vector<Row>> read(std::string sql, Args&&... args) {
        return read(Statement{std::move(sql), std::forward<Args>(args)...});
    }
    awaitable<std::vector<Row>> read(Statement statement);

    /// Runs in the transaction, after what is staged, and sees it. The first one makes the session interactive: it holds
    /// SQLite's only writer until commit() or rollback(), at most DatabaseOptions::hold_limit.
    /// @throws SessionTimeoutError after that limit: the session was rolled back
    template <class... Args>
    awaitable<std::vector<Row>> query(std::string sql, Args&&... args) {
        return query(Statement{std::move(sql), std::forward<Args>(args)...});
    }
    awaitable<std::vector<Row>> query(Statement statement);

    awaitable<void> commit() override;
    void rollback() noexcept override;
    awaitable<CommitOutcome> resolve() override;
    Staged staged() const noexcept override;

private:
    friend class InboxRepository;
    friend class OutboxRepository;
    std::shared_ptr<detail::SessionImpl> impl_;
};

class InboxRepository final : public txm::InboxRepository {
public:
    /// @param consumer the name for messages whose Incoming has none
    /// @throws std::invalid_argument for a table name that is not letters, digits and `_`
    InboxRepository(std::string table, Session& session, std::string consumer = {});
    ~InboxRepository() override;

    void save(const Incoming& incoming) override;
    awaitable<std::optional<ProcessedMessage>> get(Incoming incoming) override;

private:
    std::shared_ptr<const detail::InboxSql> sql_;
    std::string consumer_;
    std::weak_ptr<detail::SessionImpl> session_;
};

class OutboxRepository final : public txm::OutboxRepository {
public:
    /// @throws std::invalid_argument for a table name that is not letters, digits and `_`
    OutboxRepository(std::string table, Session& session, TopicMap topics);
    ~OutboxRepository() override;

    awaitable<std::optional<StoredMessage>> get(Uuid message_id) override;
    awaitable<void> mark_as_dispatched(Uuid message_id) override;
    awaitable<std::vector<StoredMessage>> get_not_dispatched_messages() override;

protected:
    void stage(std::vector<Staged> batch) override;

private:
    std::shared_ptr<const detail::OutboxSql> sql_;
    std::weak_ptr<detail::SessionImpl> session_;
};

}  // namespace txm::sqlite
