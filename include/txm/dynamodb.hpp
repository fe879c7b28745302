#pragma once

#include "txm/aws_client.hpp"
#include "txm/inbox.hpp"
#include "txm/item.hpp"
#include "txm/outbox.hpp"
#include "txm/session.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Amazon DynamoDB: sessions over TransactWriteItems.
namespace txm::dynamodb {

using boost::asio::awaitable;

class DatabaseOptions {
public:
    explicit DatabaseOptions(aws::ClientOptions client_options = aws::ClientOptions{})
        : client(std::move(client_options)) {}

    aws::ClientOptions client;
    /// With all its attempts. Then CommitOutcomeUnknown, or Error(store_unavailable) when nothing can have been written.
    std::chrono::milliseconds commit_timeout{30'000};
    /// Of tables with replicas in other regions (global tables): the one region where txm works with them, writers, relays
    /// and consumers alike. Empty: such tables are refused, because every region's stream shows every message, and of two
    /// transactions in two regions the last writer's rows win.
    std::string home_region{};
};

namespace detail {
class DatabaseImpl;
class SessionImpl;
class WriteText;
struct OutboxTable;
}  // namespace detail

/// A region's DynamoDB, with its own connections: needs no executor, serves any.
/// *Thread safety*: any number of threads. *Lifetime*: must outlive what sessions, feeds and stores do.
class Database {
public:
    /// No I/O. @throws Error(invalid_configuration): no region, another than DatabaseOptions::home_region, a malformed endpoint
    explicit Database(DatabaseOptions options = DatabaseOptions{});
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    detail::DatabaseImpl& impl() noexcept { return *impl_; }

private:
    std::unique_ptr<detail::DatabaseImpl> impl_;
};

/// One write of a transaction, or a condition on an item that it does not change. Made by put(), update(), remove() and
/// check() of Session, or by hand.
class Write {
public:
    static Write put(std::string table, Item item);
    static Write update(std::string table, Item key, std::string expression);
    static Write remove(std::string table, Item key);
    static Write check(std::string table, Item key);
    /// Anything else that TransactWriteItems takes: one element of TransactItems, as JSON text. Its condition is in that text;
    /// `.when("", error)` gives the error for it.
    static Write raw(std::string json);

    /// Values of `:name` placeholders, names of `#name` ones.
    Write&& values(Item placeholders) &&;
    Write&& names(std::vector<std::pair<std::string, std::string>> placeholders) &&;

    /// Requires a condition: when it does not hold, nothing of the transaction is written and commit() throws `error`.
    /// @code
    /// session.add(txm::dynamodb::Write::update("accounts", {{"PK", id}}, "set credit = credit - :amount")
    ///                 .values({{":amount", 80}})
    ///                 .when("credit >= :amount", CreditExceeded{id}));
    /// @endcode
    template <class E>
    Write&& when(std::string condition, E error) && {
        return std::move(*this).when(std::move(condition), std::make_exception_ptr(std::move(error)));
    }
    /// Without an error of its own: Error(unexpected_rows) naming the table and the key.
    Write&& when(std::string condition) && { return std::move(*this).when(std::move(condition), std::exception_ptr{}); }
    Write&& when(std::string condition, std::exception_ptr error) &&;

private:
    friend class detail::WriteText;
    enum class Kind { put, update, remove, check, raw };
    Write(Kind kind, std::string table, Item item, std::string expression);

    Kind kind_;
    std::string table_;
    Item item_;               // of a put; else the key
    std::string expression_;  // of an update; the text of a raw one
    std::string condition_;
    Item values_;
    std::vector<std::pair<std::string, std::string>> names_;
    std::exception_ptr error_;
};

/// A query of a table or index. All pages are read.
class Query {
public:
    Query(std::string table_name, std::string key_condition, Item placeholder_values)
        : table(std::move(table_name)), condition(std::move(key_condition)), values(std::move(placeholder_values)) {}

    std::string table, index;
    std::string condition, filter;
    Item values;
    std::vector<std::pair<std::string, std::string>> names{};
    bool forward = true;
    bool consistent = true;  ///< an index of all items cannot be read consistently: set it to false there
    std::size_t limit = 0;   ///< of items; 0: all
};

/// A transaction in the making, see txm::Session: one TransactWriteItems request. Limits of the service are errors before
/// anything is sent: 100 items, 4 MB in all, 400 kB an item, one write to an item.
class Session final : public txm::Session {
public:
    /// No I/O. *Lifetime*: `db` must outlive it.
    explicit Session(Database& db);
    ~Session() override;

    /// Stages a write. @throws std::logic_error while a commit is under way
    void add(Write write);
    void put(std::string table, Item item) { add(Write::put(std::move(table), std::move(item))); }
    void update(std::string table, Item key, std::string expression, Item values) {
        add(Write::update(std::move(table), std::move(key), std::move(expression)).values(std::move(values)));
    }
    void remove(std::string table, Item key) { add(Write::remove(std::move(table), std::move(key))); }

    /// Reads a committed item, strongly consistent; does not see what is staged.
    /// @code
    /// const auto account = co_await session.get("accounts", txm::dynamodb::key("PK", id));
    /// @endcode
    awaitable<std::optional<Item>> get(std::string table, Item key);
    /// All items of a query, every page of it.
    awaitable<std::vector<Item>> query(Query query);

    awaitable<void> commit() override;
    void rollback() noexcept override;
    /// Sends the identical request again while its token is good (8 min), later looks for what it would have written: its
    /// inbox row, or its first message, or, where that was sent and deleted, the counter of its aggregate. Messages of an
    /// outbox without order, and a session of neither, can stay unknown for ever then.
    awaitable<CommitOutcome> resolve() override;
    Staged staged() const noexcept override;

private:
    friend class InboxRepository;
    friend class OutboxRepository;
    std::shared_ptr<detail::SessionImpl> impl_;
};

class InboxOptions {
public:
    InboxOptions() = default;
    explicit InboxOptions(std::string consumer_name) : consumer(std::move(consumer_name)) {}

    std::string consumer;  ///< for messages whose Incoming has none; empty: the key is `MESSAGE#<id>` alone
    /// Rows carry the attribute ExpiresAt, this much later, for the table's time to live. None: kept for ever.
    std::optional<std::chrono::seconds> retention{};
};

class InboxRepository final : public txm::InboxRepository {
public:
    InboxRepository(std::string table, Session& session, InboxOptions options = {});
    ~InboxRepository() override;

    void save(const Incoming& incoming) override;
    awaitable<std::optional<ProcessedMessage>> get(Incoming incoming) override;

private:
    std::string table_;
    InboxOptions options_;
    std::weak_ptr<detail::SessionImpl> session_;
};

class OutboxOptions {
public:
    OutboxOptions() = default;

    /// Messages of an aggregate are numbered and chained in commit order. False for a table whose other writers do not.
    bool ordered = true;
    /// The table is shared with programs that know only its original attributes: aggregate ids must be UUIDs.
    bool compat = false;
    std::string state_table{};  ///< txm's own; empty: `<table>-txm`
};

class OutboxRepository final : public txm::OutboxRepository {
public:
    OutboxRepository(std::string table, Session& session, TopicMap topics, OutboxOptions options = {});
    ~OutboxRepository() override;

    awaitable<std::optional<StoredMessage>> get(Uuid message_id) override;
    awaitable<void> mark_as_dispatched(Uuid message_id) override;
    awaitable<std::vector<StoredMessage>> get_not_dispatched_messages() override;

protected:
    void stage(std::vector<Staged> batch) override;

private:
    std::shared_ptr<const detail::OutboxTable> table_;
    std::weak_ptr<detail::SessionImpl> session_;
};

/// Creates the tables of an outbox (its indexes, its stream, and `<table>-txm`) or inbox, and waits until they can be used.
/// One that exists is checked and not touched. @throws Error(invalid_configuration) naming what differs
/// @param state_table txm's own; empty: `<table>-txm`
awaitable<void> create_outbox_table(Database& db, std::string table = "outbox", std::string state_table = {});
awaitable<void> create_inbox_table(Database& db, std::string table = "inbox");

/// The same as text, for people who keep their own: `cloudformation` or `terraform`.
/// @throws std::invalid_argument for another language
std::string schema(const std::string& language, const std::string& outbox_table, const std::string& inbox_table,
                   const std::string& state_table = {});

}  // namespace txm::dynamodb
