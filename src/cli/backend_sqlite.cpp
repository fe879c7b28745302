#include "cli/backends.hpp"

#include "txm/sqlite.hpp"
#include "txm/sqlite_feed.hpp"

#include <filesystem>

namespace txm::cli {

namespace {

struct SqliteTables {
    std::string outbox, inbox;
};

class SqliteUnitOfWork final : public UnitOfWork {
public:
    SqliteUnitOfWork(sqlite::Database& db, const std::string& inbox_table, const Incoming& incoming)
        : UnitOfWork(incoming), session_(db), inbox_(inbox_table, session_) {}

    InboxRepository& inbox() override { return inbox_; }
    sqlite::Session& session() override { return session_; }

private:
    sqlite::Session session_;
    sqlite::InboxRepository inbox_;
};

class SqliteStore final : public Store {
public:
    SqliteStore(const std::string& path, sqlite::DatabaseOptions options, SqliteTables tables, sqlite::FeedOptions feed)
        : db_(path, options), tables_(std::move(tables)), feed_(std::move(feed)) {}

    awaitable<void> migrate() override {
        co_await sqlite::create_outbox_table(db_, tables_.outbox);
        co_await sqlite::create_inbox_table(db_, tables_.inbox);
    }

    awaitable<void> publish(std::vector<StoredMessage> batch, std::size_t max_payload) override {
        sqlite::Session session{db_};
        sqlite::OutboxRepository outbox{tables_.outbox, session, TopicMap{}};
        outbox.limit_payload(max_payload);
        outbox.publish(batch);
        co_await session.commit();
    }

    std::unique_ptr<OutboxFeed> feed(const FeedSettings& settings) override {
        if (!settings.how.empty() && settings.how != "poll")
            throw UsageError(settings.origin + ": an SQLite store has no feed '" + settings.how +
                             "', it has poll (which commits wake at once)");
        sqlite::FeedOptions options = feed_;
        options.retention = settings.retention;
        options.max_payload = settings.max_payload;
        return std::make_unique<sqlite::OutboxFeed>(db_, options);
    }

    std::unique_ptr<Step> step(Publisher&, const FeedSettings& settings) override {
        throw UsageError(settings.origin + ": no events come from an SQLite store: run `txm relay` beside it");
    }

    std::unique_ptr<ConsumerStore> consumer_store(const ConsumerSettings& settings) override {
        return std::make_unique<sqlite::ConsumerStore>(db_, settings.name, tables_.inbox);
    }

    std::unique_ptr<UnitOfWork> unit_of_work(const Incoming& incoming, const ConsumerSettings&) override {
        return std::make_unique<SqliteUnitOfWork>(db_, tables_.inbox, incoming);
    }

    Effect effect_of_sql(const std::string& statements, const std::string& consumer) override {
        auto script = std::make_shared<const sqlite::Script>(db_, statements);
        return [script, consumer](UnitOfWork& uow, const StoredMessage& message) {
            script->add_to(static_cast<SqliteUnitOfWork&>(uow).session(), message, consumer);
        };
    }

    std::unique_ptr<Admin> admin() override { return sqlite::open_admin(db_, tables_.outbox, tables_.inbox); }

private:
    sqlite::Database db_;
    SqliteTables tables_;
    sqlite::FeedOptions feed_;
};

void check_path(const Url& url, const std::string& origin) {
    if (url.rest.empty() || url.rest.starts_with(":memory:"))
        throw UsageError(origin + ": an SQLite store needs a file, such as sqlite:orders.db");
    if (url.rest.starts_with("//") && !url.rest.starts_with("///"))
        throw UsageError(origin + ": an SQLite store has no host: write sqlite:" + url.rest.substr(2) +
                         " or, from the root, sqlite:" + url.rest.substr(1));
}

struct SqliteOptions {
    SqliteOptions(Options& options, const std::string& origin)
        : tables{options.text("outbox", "outbox"), options.text("inbox", "inbox")} {
        if (options.choice("synchronous", "full|normal", "full") == "normal")
            database.synchronous = sqlite::Synchronous::normal;
        database.busy_timeout = options.duration("busy_timeout", database.busy_timeout);
        database.hold_limit = options.duration("hold_limit", database.hold_limit);
        feed.table = tables.outbox;
        feed.poll_interval = options.duration("poll_interval", feed.poll_interval);
        feed.lease_term = options.duration("lease_term", feed.lease_term);
        options.refuse_others();
        try {
            schema = sqlite::outbox_schema(tables.outbox) + "\n" + sqlite::inbox_schema(tables.inbox);
        } catch (const std::invalid_argument& error) {
            throw UsageError(origin + ": " + error.what());
        }
    }

    SqliteTables tables;
    sqlite::DatabaseOptions database;
    sqlite::FeedOptions feed;
    std::string schema;
};

}  // namespace

std::unique_ptr<Store> open_sqlite(const Url& url, const std::string& origin, Options& options, Missing missing) {
    check_path(url, origin);
    SqliteOptions own{options, origin};
    own.database.create = missing == Missing::create;
    std::error_code ignored;
    if (missing == Missing::refuse && !std::filesystem::exists(url.rest, ignored))
        throw Error(Errc::schema_missing,
                    "the store " + url.rest + " does not exist: run `txm migrate --store " + url.shown + "`");
    return std::make_unique<SqliteStore>(url.rest, own.database, std::move(own.tables), std::move(own.feed));
}

std::string sqlite_schema(const Url& url, const std::string& origin, Options& options, const std::string& language) {
    check_path(url, origin);
    const SqliteOptions own{options, origin};
    if (language != "sql")
        throw UsageError("--print: an SQLite store is described in sql, not in " + language);
    return own.schema;
}

}  // namespace txm::cli
