#include "dynamodb_session_fixture.hpp"
#include "stores/dynamodb/state_table.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <string>
#include <thread>

// The numbers and the chain that order the messages of an aggregate.

namespace txm::test {
namespace {

class DynamoDbCounters : public DynamoDbSession {
protected:
    Noted publish(dynamodb::Database& database, const AggregateId& aggregate_id) {
        Noted event;
        event.aggregate_id = aggregate_id;
        dynamodb::Session session{database};
        dynamodb::OutboxRepository events{outbox, session, topics()};
        events.publish(event);
        sync_wait(session.commit());
        return event;
    }

    struct Link {
        Sequence sequence;
        Uuid id, previous;
    };

    std::vector<Link> chain(const AggregateId& aggregate_id) {
        std::vector<Link> links;
        for (const dynamodb::Item& found : all(outbox)) {
            const StoredMessage message = dynamodb::detail::message_of(found);
            if (message.aggregate_id == aggregate_id)
                links.push_back({message.sequence, message.message_id, dynamodb::detail::previous_message_id(found)});
        }
        std::sort(links.begin(), links.end(), [](const Link& a, const Link& b) { return a.sequence < b.sequence; });
        return links;
    }

    void expect_gapless(const AggregateId& aggregate_id, std::size_t length) {
        const std::vector<Link> links = chain(aggregate_id);
        ASSERT_EQ(links.size(), length);
        Uuid previous;
        for (std::size_t i = 0; i < links.size(); ++i) {
            EXPECT_EQ(links[i].sequence, static_cast<Sequence>(i + 1));
            EXPECT_EQ(links[i].previous, previous);
            previous = links[i].id;
        }
        const auto counter = item(outbox + "-txm", dynamodb::detail::counter_key(aggregate_id));
        ASSERT_TRUE(counter);
        EXPECT_EQ(counter->at("LastSequence").integer(), static_cast<Sequence>(length));
        EXPECT_EQ(counter->at("LastMessageId").text(), previous.to_string());
    }
};

TEST_F(DynamoDbCounters, messages_of_one_commit_share_a_counter) {
    dynamodb::Session session{*db};
    dynamodb::OutboxRepository events{outbox, session, topics()};
    Noted a1, b1, a2;
    b1.aggregate_id = "b";
    events.publish(a1, b1, a2);
    sync_wait(session.commit());
    expect_gapless("a", 2);
    expect_gapless("b", 1);
    EXPECT_EQ(chain("a")[0].id, a1.message_id);
    publish(*db, "a");
    expect_gapless("a", 3);
}

TEST_F(DynamoDbCounters, ddb_counter_race_32_writers) {
    constexpr int writers = 32;
    std::vector<std::unique_ptr<dynamodb::Database>> databases;  // each knows nothing of the others
    for (int i = 0; i < 4; ++i)
        databases.push_back(std::make_unique<dynamodb::Database>(options_for(server().endpoint())));
    boost::asio::io_context context;
    std::vector<std::string> failures;
    const auto write = [&](dynamodb::Database& database) -> awaitable<void> {
        dynamodb::Session session{database};
        dynamodb::OutboxRepository events{outbox, session, topics()};
        events.publish(Noted{});
        co_await session.commit();
    };
    for (int i = 0; i < writers; ++i)
        boost::asio::co_spawn(context, write(*databases[static_cast<std::size_t>(i) % databases.size()]),
                              [&failures](const std::exception_ptr& error) {
                                  try {
                                      if (error)
                                          std::rethrow_exception(error);
                                  } catch (const std::exception& e) {
                                      failures.emplace_back(e.what());
                                  }
                              });
    context.run();
    EXPECT_TRUE(failures.empty()) << failures.size() << " failed, the first with: " << failures.front();
    expect_gapless("a", writers);
}

TEST_F(DynamoDbCounters, numbers_go_on_when_a_counter_is_lost) {
    publish(*db, "a");
    publish(*db, "a");
    std::string body = R"({"TableName":")" + outbox + R"(-txm","Key":{"PK":{"S":"AGGREGATE#a"},"SK":{"S":"COUNTER"}}})";
    call("DeleteItem", body);
    publish(*db, "a");
    expect_gapless("a", 3);
}

TEST_F(DynamoDbCounters, unordered_outboxes_have_none) {
    dynamodb::OutboxOptions options;
    options.ordered = false;
    dynamodb::Session session{*db};
    dynamodb::OutboxRepository events{outbox, session, topics(), options};
    const Noted event;
    events.publish(event);
    sync_wait(session.commit());
    EXPECT_EQ(sync_wait(events.get(event.message_id))->sequence, 0);
    EXPECT_EQ(count(outbox + "-txm"), 0u);
}

}  // namespace
}  // namespace txm::test
