// The processes of the world of DynamoDB, SNS and SQS. Usage: fault_cloud app|consumer|create|pending|observe DIRECTORY ENDPOINTS…
//   create DYNAMODB           makes the tables of domain and effects (the others are `txm migrate`'s)
//   app DYNAMODB              publishes for ever, and appends to DIRECTORY/told what it was told
//   consumer DYNAMODB SNS [--drain]   applies effects; poison fails now and then
//   pending DYNAMODB          exit 0 when a message is not dispatched
//   observe DYNAMODB          prints lines `WHAT message_id aggregate_id`: commit, domain, effect, dead
#include "fault/victim.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "txm/aws.hpp"
#include "txm/consumer.hpp"
#include "txm/dynamodb.hpp"
#include "txm/dynamodb_feed.hpp"
#include "txm/sync_wait.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <iostream>
#include <random>
#include <set>
#include <stdexcept>
#include <string>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using txm::awaitable;
using txm::dynamodb::Item;
using txm::dynamodb::Write;
using txm::test::Happened;
using txm::test::happened_topics;
using txm::test::Told;

constexpr int aggregates = 24, poisonous = 6;

txm::aws::ClientOptions client(const std::string& endpoint) {
    txm::aws::ClientOptions options{"eu-west-1"};
    options.endpoint = endpoint;
    options.credentials = txm::aws::Credentials{"test", "test"};
    options.request_timeout = 2s;
    return options;
}

class Application {
public:
    Application(txm::dynamodb::Database& db, const std::string& directory) : db_(db), told_(directory + "/told") {}

    awaitable<void> publish_for_ever(unsigned seed) {
        std::minstd_rand random{seed};
        asio::steady_timer pause{co_await asio::this_coro::executor};
        for (;;) {
            co_await publish_once(random);
            pause.expires_after(30ms);
            co_await pause.async_wait(asio::use_awaitable);
        }
    }

private:
    awaitable<void> publish_once(std::minstd_rand& random) {
        const auto dice = random() % 20;
        txm::dynamodb::Session session{db_};
        txm::dynamodb::OutboxRepository outbox{"outbox", session, happened_topics};
        std::string committed, refused;
        const auto messages = 1 + random() % 3;
        for (unsigned i = 0; i < messages; ++i) {
            Happened event;
            const auto aggregate = static_cast<int>(random() % aggregates);
            event.aggregate_id = "aggregate-" + std::to_string(aggregate);
            event.text = aggregate < poisonous && random() % 10 == 0 ? "poison" : "text";
            session.put("domain", {{"PK", event.message_id}, {"Aggregate", event.aggregate_id}});
            outbox.publish(event);
            committed += "+" + event.message_id.to_string() + "\n";
            refused += "-" + event.message_id.to_string() + "\n";
        }
        if (dice == 0) {
            session.rollback();
            told_.append(refused);
            co_return;
        }
        if (dice == 1)  // its condition never holds
            session.add(
                Write::check("domain", {{"PK", "nothing"}}).when("attribute_exists(PK)", std::runtime_error("no")));
        bool done = false, known = true;
        try {
            co_await session.commit();
            done = true;
        } catch (const txm::CommitOutcomeUnknown&) {
            known = false;
        } catch (const txm::Error& e) {
            std::cerr << "commit: " << e.what() << '\n';
        } catch (const std::runtime_error&) {}
        if (known)
            told_.append(done ? committed : refused);
    }

    txm::dynamodb::Database& db_;
    Told told_;
};

int run_app(txm::dynamodb::Database& db, const std::string& directory) {
    Application application{db, directory};
    asio::io_context context{1};
    for (unsigned i = 0; i < 6; ++i)
        asio::co_spawn(context, application.publish_for_ever(std::random_device{}()), asio::detached);
    context.run();
    return 0;
}

class UnitOfWork final : public txm::UnitOfWork {
public:
    UnitOfWork(txm::dynamodb::Database& db, const txm::Incoming& incoming) : txm::UnitOfWork(incoming), session_(db) {}
    txm::InboxRepository& inbox() override { return inbox_; }
    txm::dynamodb::Session& session() override { return session_; }

private:
    txm::dynamodb::Session session_;
    txm::dynamodb::InboxRepository inbox_{"inbox", session_};
};

int run_consumer(txm::dynamodb::Database& db, const std::string& sns, bool drain) {
    txm::aws::BrokerOptions broker{client(sns)};
    broker.fifo = true;
    txm::aws::SubscriptionOptions subscription_options{broker, "judge"};
    subscription_options.visibility = 2s;
    subscription_options.wait = 1s;
    subscription_options.max_attempts = 3;
    txm::aws::Subscription subscription{{"events"}, subscription_options};
    txm::dynamodb::ConsumerStore store{db, "judge"};
    txm::ConsumerOptions options{"judge"};
    options.max_attempts = 3;
    options.backoff = 5ms;
    options.max_backoff = 50ms;
    options.park_after = 20ms;
    options.parked_poll = 200ms;
    options.extend_every = 500ms;
    options.inbox_retention = 0s;
    options.drain = drain;
    std::minstd_rand random{std::random_device{}()};
    const auto handle = [&](const txm::Incoming& incoming, const txm::Delivery& delivery) -> awaitable<bool> {
        UnitOfWork uow{db, incoming};
        co_await uow.enter();
        const txm::StoredMessage& message = delivery.message;
        if (message.payload == "poison" && !drain && random() % 3 != 0)
            throw std::runtime_error("poison");
        const txm::dynamodb::Attribute::List one{message.message_id}, none;
        uow.session().add(Write::update("effects", {{"PK", message.aggregate_id}},
                                        "set Effects = list_append(if_not_exists(Effects, :none), :one)")
                              .values({{":one", one}, {":none", none}}));
        co_await uow.commit();
        co_return true;
    };
    txm::ConsumerRunner runner{store, subscription, options, handle};
    runner.on_event([](const std::string& line) { std::cerr << line << '\n'; });
    return txm::test::run_until_told(runner, "consumer");
}

int create(txm::dynamodb::Database& db) {
    for (const std::string table : {"domain", "effects"})
        txm::sync_wait(
            db.impl().call("CreateTable", R"({"TableName":")" + table +
                                              R"(","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"PK",)"
                                              R"("KeyType":"HASH"}],"AttributeDefinitions":[{"AttributeName":"PK",)"
                                              R"("AttributeType":"S"}]})"));
    return 0;
}

std::vector<Item> scan(txm::dynamodb::Database& db, const std::string& table) {
    return txm::sync_wait(db.impl().read_all(txm::dynamodb::Query{table, {}, {}}));
}

bool is_pending(txm::dynamodb::Database& db) {
    txm::dynamodb::Session session{db};
    txm::dynamodb::Query query{"outbox", "NotDispatched = :x", {{":x", "x"}}};
    query.index = "NotDispatchedMessagesIndex";
    query.consistent = false;
    query.limit = 1;
    return !txm::sync_wait(session.query(query)).empty();
}

void print(const std::string& what, const Item& item, const char* id, const char* aggregate) {
    std::cout << what << ' ' << item.at(id).text() << ' ' << item.at(aggregate).text() << '\n';
}

bool holds_all(const std::vector<Item>& whole, const char* whole_id, const std::vector<Item>& part,
               const char* part_id) {
    std::set<std::string> ids;
    for (const Item& item : whole)
        ids.insert(item.at(whole_id).text());
    return std::ranges::all_of(part, [&](const Item& item) { return ids.contains(item.at(part_id).text()); });
}

/// Against the flow: what is read later can only know more.
int observe(txm::dynamodb::Database& db) {
    for (const Item& item : scan(db, "effects"))
        for (const auto& id : std::get<txm::dynamodb::Attribute::List>(item.at("Effects").value()))
            std::cout << "effect " << id.text() << ' ' << item.at("PK").text() << '\n';
    for (const Item& item : scan(db, "inbox")) {
        const auto state = item.find("State");
        if (state != item.end() && state->second.text() == "dead")
            std::cout << "dead " << item.at("MessageId").text() << " -\n";
    }
    // A scan may see a transaction half done (so does the service's), but never for long.
    std::vector<Item> outbox, before, after;
    for (int looks = 0; looks < 50; ++looks) {
        before = scan(db, "domain");
        outbox = scan(db, "outbox");
        after = scan(db, "domain");
        if (holds_all(outbox, "MessageId", before, "PK") && holds_all(after, "PK", outbox, "MessageId"))
            break;
    }
    std::ranges::sort(outbox, {}, [](const Item& item) { return item.at("Sequence").integer(); });
    for (const Item& item : outbox)
        print("commit", item, "MessageId", "AggregateId");
    for (const Item& item : before)
        print("before", item, "PK", "Aggregate");
    for (const Item& item : after)
        print("after", item, "PK", "Aggregate");
    return 0;
}

int run(const std::vector<std::string>& words) {
    if (words.size() < 3)
        throw std::invalid_argument(
            "usage: fault_cloud app|consumer|create|pending|observe DIRECTORY DYNAMODB [SNS] [--drain]");
    txm::dynamodb::DatabaseOptions options{client(words[2])};
    options.commit_timeout = 5s;
    txm::dynamodb::Database db{options};
    if (words[0] == "create")
        return create(db);
    if (words[0] == "app")
        return run_app(db, words[1]);
    if (words[0] == "consumer")
        return run_consumer(db, words.at(3), words.size() > 4);
    if (words[0] == "pending")
        return is_pending(db) ? 0 : 1;
    if (words[0] == "observe")
        return observe(db);
    throw std::invalid_argument("fault_cloud: no command " + words[0]);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run({argv + 1, argv + argc});
    } catch (const std::exception& e) {
        std::cerr << "fault_cloud: " << e.what() << '\n';
        return 2;
    }
}
