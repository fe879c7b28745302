#include "cli/aws_options.hpp"
#include "cli/backends.hpp"
#include "cli/heap.hpp"

#include "txm/dynamodb.hpp"
#include "txm/dynamodb_feed.hpp"
#include "txm/sync_wait.hpp"

#include <atomic>
#include <exception>

namespace txm::cli {

namespace {

struct DynamoDbTables {
    std::string outbox, inbox, state;
};

/// What the options say of a table that other programs may write; what they leave open, `migrate` has recorded.
struct Sharing {
    std::optional<bool> compat, ordered;
};

class DynamoDbUnitOfWork final : public UnitOfWork {
public:
    DynamoDbUnitOfWork(dynamodb::Database& db, const std::string& inbox_table, dynamodb::InboxOptions options,
                       const Incoming& incoming)
        : UnitOfWork(incoming), session_(db), inbox_(inbox_table, session_, std::move(options)) {}

    InboxRepository& inbox() override { return inbox_; }
    dynamodb::Session& session() override { return session_; }

private:
    dynamodb::Session session_;
    dynamodb::InboxRepository inbox_;
};

/// The step of a relay, whose options are known when the first event comes: a start does no I/O.
class DynamoDbStep final : public Step {
public:
    using MakeStep = std::function<std::unique_ptr<dynamodb::StreamStep>(bool compat)>;

    DynamoDbStep(std::function<awaitable<bool>()> is_compat, MakeStep make)
        : is_compat_(std::move(is_compat)), make_(std::move(make)) {}

    awaitable<std::string> run(std::string event) override {
        if (!step_) {
            const bool compat = co_await is_compat_();
            step_ = make_(compat);
        }
        std::string answer = co_await step_->run(std::move(event));
        co_return answer;
    }

private:
    std::function<awaitable<bool>()> is_compat_;
    MakeStep make_;
    std::unique_ptr<dynamodb::StreamStep> step_;
};

class DynamoDbStore final : public Store {
public:
    DynamoDbStore(dynamodb::DatabaseOptions options, DynamoDbTables tables, dynamodb::FeedOptions feed, Sharing sharing)
        : db_(std::move(options)), tables_(std::move(tables)), feed_(std::move(feed)), sharing_(sharing) {}

    awaitable<void> migrate() override {
        const bool had_outbox = co_await has_table(tables_.outbox);
        const bool had_state = co_await has_table(tables_.state);
        // One that ended before it wrote down what it had found left the state table empty.
        bool is_known = false;
        if (had_state)
            is_known = co_await has_items(tables_.state);
        bool found = had_outbox && !had_state;
        if (had_outbox && had_state && !is_known)
            found = co_await has_items(tables_.outbox);
        co_await dynamodb::create_outbox_table(db_, tables_.outbox, tables_.state);
        co_await dynamodb::create_inbox_table(db_, tables_.inbox);
        if (sharing_.compat || !is_known)
            co_await record(sharing_.compat.value_or(found));
        if (found && !sharing_.compat)
            notes_.push_back("the table " + tables_.outbox +
                             " was there before txm: it is taken for one that other programs write too (compat=true, "
                             "ordered=false); if txm is to have it alone, say so: txm migrate with ?compat=false");
    }

    std::vector<std::string> notes() const override { return notes_; }

    // Of the service's 100 items and 4 MB. A numbered message may bring the counter of its aggregate with it.
    Limits limits() const override {
        return {.messages = sharing_.ordered == false ? std::size_t{100} : std::size_t{50}, .bytes = 3'500'000};
    }

    awaitable<void> publish(std::vector<StoredMessage> batch, std::size_t max_payload) override {
        dynamodb::OutboxOptions options;
        options.compat = co_await is_compat();
        options.state_table = tables_.state;
        options.ordered = sharing_.ordered.value_or(!options.compat);
        dynamodb::Session session{db_};
        dynamodb::OutboxRepository outbox{tables_.outbox, session, TopicMap{}, options};
        outbox.limit_payload(max_payload);
        outbox.publish(batch);
        std::exception_ptr unknown;
        try {
            co_await session.commit();
        } catch (const CommitOutcomeUnknown&) {
            unknown = std::current_exception();
        }
        if (!unknown)
            co_return;
        const CommitOutcome outcome = co_await session.resolve();
        if (outcome == CommitOutcome::committed)
            co_return;
        if (outcome == CommitOutcome::rolled_back)
            throw Error(Errc::store_unavailable, "the transaction was not written: run it again");
        std::rethrow_exception(unknown);
    }

    std::unique_ptr<OutboxFeed> feed(const FeedSettings& settings) override {
        dynamodb::FeedOptions options = feed_options(settings);
        options.compat = sync_wait(is_compat());
        if (settings.how == "tail")
            options.kind = dynamodb::FeedKind::tail;
        else if (settings.how == "poll")
            options.kind = dynamodb::FeedKind::poll;
        else if (!settings.how.empty())
            throw UsageError(settings.origin + ": a DynamoDB store has no feed '" + settings.how +
                             "', it has tail (its stream) and poll");
        return std::make_unique<dynamodb::OutboxFeed>(db_, std::move(options));
    }

    std::unique_ptr<Step> step(Publisher& publisher, const FeedSettings& settings) override {
        return std::make_unique<DynamoDbStep>(
            [this] { return is_compat(); },
            [this, &publisher, options = feed_options(settings)](bool compat) mutable {
                options.compat = compat;
                return std::make_unique<dynamodb::StreamStep>(db_, publisher, std::move(options));
            });
    }

    std::unique_ptr<ConsumerStore> consumer_store(const ConsumerSettings& settings) override {
        return std::make_unique<dynamodb::ConsumerStore>(db_, settings.name, tables_.inbox, tables_.state,
                                                         settings.inbox_retention);
    }

    std::unique_ptr<UnitOfWork> unit_of_work(const Incoming& incoming, const ConsumerSettings& settings) override {
        dynamodb::InboxOptions options{settings.name};
        options.retention = settings.inbox_retention;
        return std::make_unique<DynamoDbUnitOfWork>(db_, tables_.inbox, std::move(options), incoming);
    }

    Effect effect_of_sql(const std::string&, const std::string&) override {
        throw Error(Errc::invalid_configuration,
                    "a DynamoDB store runs no SQL: use --exec COMMAND, or the library, whose session writes your items "
                    "and the inbox row in one transaction");
    }

    std::unique_ptr<Admin> admin() override {
        return dynamodb::open_admin(db_, tables_.outbox, tables_.inbox, tables_.state);
    }

private:
    dynamodb::FeedOptions feed_options(const FeedSettings& settings) const {
        dynamodb::FeedOptions options = feed_;
        options.retention = settings.retention;
        options.max_payload = settings.max_payload;
        return options;
    }

    // A read of an item that nobody has: a table of another layout answers in its own way, and is there.
    awaitable<bool> has_table(std::string table) {
        dynamodb::Session session{db_};
        dynamodb::Item key;
        key.emplace("PK", "txm");
        try {
            co_await session.get(std::move(table), std::move(key));
        } catch (const Error& error) {
            if (error.code() == Errc::schema_missing)
                co_return false;
            if (error.code() != Errc::not_supported)
                throw;
        }
        co_return true;
    }

    awaitable<bool> has_items(std::string table) {
        dynamodb::Session session{db_};
        dynamodb::Query any(std::move(table), {}, {});
        any.limit = 1;
        const std::vector<dynamodb::Item> items = co_await session.query(std::move(any));
        co_return !items.empty();
    }

    static dynamodb::Item record_key() {
        dynamodb::Item key;
        key.emplace("PK", "META");
        key.emplace("SK", "COMPAT");
        return key;
    }

    awaitable<void> record(bool compat) {
        dynamodb::Item item = record_key();
        item.emplace("Compat", compat);
        dynamodb::Session session{db_};
        session.put(tables_.state, std::move(item));
        co_await session.commit();
    }

    // Asked for once. Without txm's own table, what needs it says that it is missing.
    awaitable<bool> is_compat() {
        if (sharing_.compat)
            co_return *sharing_.compat;
        if (const int known = compat_; known >= 0)
            co_return known == 1;
        dynamodb::Session session{db_};
        dynamodb::Item key = record_key();
        const std::optional<dynamodb::Item> item = co_await session.get(tables_.state, std::move(key));
        bool compat = false;
        if (item)
            if (const auto value = item->find("Compat"); value != item->end())
                compat = value->second.boolean();
        compat_ = compat ? 1 : 0;
        co_return compat;
    }

    dynamodb::Database db_;
    DynamoDbTables tables_;
    dynamodb::FeedOptions feed_;
    Sharing sharing_;
    std::atomic<int> compat_{-1};
    std::vector<std::string> notes_;
};

struct DynamoDbOptions {
    DynamoDbOptions(const Url& url, const std::string& origin, Options& options) {
        const AwsPlace place = aws_place(url, options, origin, "dynamodb://eu-west-1/outbox");
        tables.outbox = place.name.empty() ? "outbox" : place.name;
        tables.inbox = options.text("inbox", "inbox");
        tables.state = options.text("state_table", tables.outbox + "-txm");
        for (const std::string& name : {tables.outbox, tables.inbox, tables.state})
            check_table_name(name, origin);
        if (tables.outbox == tables.inbox || tables.outbox == tables.state || tables.inbox == tables.state)
            throw UsageError(origin + ": outbox, inbox and state_table are three tables, not '" + tables.outbox +
                             "', '" + tables.inbox + "' and '" + tables.state + "'");
        database.client = aws_client_options(place, options, origin);
        database.commit_timeout = options.duration("commit_timeout", database.commit_timeout);
        database.home_region = options.text("home_region", "");
        for (const auto& [name, value] : {std::pair{"compat", &sharing.compat}, {"ordered", &sharing.ordered}})
            if (options.has(name))
                *value = options.flag(name, false);
        feed.table = tables.outbox;
        feed.state_table = tables.state;
        feed.streams_endpoint = aws_endpoint("streams_endpoint", options, origin);
        feed.poll_interval = options.duration("poll_interval", feed.poll_interval);
        feed.lease_term = options.duration("lease_term", feed.lease_term);
        options.refuse_others();
    }

    DynamoDbTables tables;
    dynamodb::DatabaseOptions database;
    dynamodb::FeedOptions feed;
    Sharing sharing;
};

}  // namespace

// Whether its tables are there is known when the first of them is used: opening it does no I/O.
std::unique_ptr<Store> open_dynamodb(const Url& url, const std::string& origin, Options& options, Missing) {
    share_a_heap();
    DynamoDbOptions own{url, origin, options};
    return std::make_unique<DynamoDbStore>(std::move(own.database), std::move(own.tables), std::move(own.feed),
                                           own.sharing);
}

std::string dynamodb_schema(const Url& url, const std::string& origin, Options& options, const std::string& language) {
    const DynamoDbOptions own{url, origin, options};
    if (language == "sql")
        throw UsageError("--print: a DynamoDB store is described in cloudformation or terraform, not in sql");
    return dynamodb::schema(language, own.tables.outbox, own.tables.inbox, own.tables.state);
}

}  // namespace txm::cli
