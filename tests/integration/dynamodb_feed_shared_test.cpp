#include "aws/client.hpp"
#include "integration/dynamodb_feed_fixture.hpp"
#include "support/fake_publisher.hpp"
#include "txm/admin.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>

#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <set>

namespace txm::test {
namespace {

using namespace std::chrono_literals;
using dynamodb::Item;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;
using Verdict = txm::testing::FakePublisher::Verdict;

/// An outbox that programs which know only its original attributes write and relay, too.
class DynamoDbShared : public DynamoDbFeed {
protected:
    /// It is written down that the table is shared, as `txm migrate` does.
    DynamoDbShared() {
        call("PutItem", R"({"TableName":")" + state_table() +
                            R"(","Item":{"PK":{"S":"META"},"SK":{"S":"COMPAT"},"Compat":{"BOOL":true}}})");
    }

    dynamodb::FeedOptions shared_feed(dynamodb::FeedKind kind = dynamodb::FeedKind::automatic) const {
        dynamodb::FeedOptions options = feed_options();
        options.kind = kind;
        options.compat = true;
        return options;
    }

    StoredMessage publish_shared(const std::string& aggregate_id, const std::string& payload, bool ordered) {
        dynamodb::Session session{*db_};
        dynamodb::OutboxOptions options;
        options.ordered = ordered;
        options.compat = true;
        dynamodb::OutboxRepository outbox{outbox_, session, TopicMap{}, options};
        StoredMessage message;
        message.message_id = new_uuid();
        message.aggregate_id = aggregate_id;
        message.topic = "orders";
        message.payload = payload;
        message.created_at = created_at_ -= 1s;
        outbox.publish(message);
        sync_wait(session.commit());
        return this->message(message.message_id).value();
    }

    /// One that another program wrote.
    static Item original_row() {
        std::ifstream in{TXM_SOURCE_DIR "/tests/data/dynamodb/outbox.json"};
        const std::string text{std::istreambuf_iterator<char>{in}, {}};
        const boost::json::object answer = dynamodb::detail::parse_object(text);
        for (const auto& row : answer.at("Items").as_array()) {
            Item item = dynamodb::detail::item_from(row.as_object());
            if (item.contains("NotDispatched"))
                return item;
        }
        throw std::runtime_error("tests/data/dynamodb has no row that waits");
    }
    Uuid put_original(const std::string& aggregate_id, const std::string& payload) {
        static const Item original = original_row();
        const Uuid id = new_uuid();
        Item row = original;
        row.insert_or_assign("PK", "MESSAGE#" + id.to_string());
        row.insert_or_assign("MessageId", id);
        row.insert_or_assign("AggregateId", aggregate_id);
        row.insert_or_assign("Message", payload);
        row.insert_or_assign("CreatedAt", to_iso8601(now()));
        put(row);
        return id;
    }

    struct Change {
        std::string event;
        Item row;
    };
    /// Everything that the table's stream has shown.
    std::vector<Change> changes() {
        aws::Client streams{db_->impl().options.client, aws::Service{"dynamodb", "streams.dynamodb"}};
        const auto ask = [&](const std::string& action, std::string body) {
            return dynamodb::detail::parse_object(
                sync_wait(streams.call("DynamoDBStreams_20120810." + action, std::move(body))).body);
        };
        const boost::json::object table =
            sync_wait(db_->impl().request("DescribeTable", R"({"TableName":")" + outbox_ + "\"}"));
        const std::string arn{table.at("Table").at("LatestStreamArn").as_string()};
        std::vector<Change> all;
        const boost::json::object stream = ask("DescribeStream", R"({"StreamArn":")" + arn + "\"}");
        for (const auto& shard : stream.at("StreamDescription").at("Shards").as_array()) {
            const std::string id{shard.at("ShardId").as_string()};
            boost::json::object answer = ask("GetShardIterator", R"({"StreamArn":")" + arn + R"(","ShardId":")" + id +
                                                                     R"(","ShardIteratorType":"TRIM_HORIZON"})");
            for (int empty = 0; empty < 3 && answer.contains("ShardIterator");) {
                const std::string iterator{answer.at("ShardIterator").as_string()};
                answer = ask("GetRecords", R"({"ShardIterator":")" + iterator + "\"}");
                const boost::json::array& records = answer.at("Records").as_array();
                empty = records.empty() ? empty + 1 : 0;
                for (const auto& record : records) {
                    const boost::json::object& change = record.at("dynamodb").as_object();
                    const auto* image = change.if_contains("NewImage");
                    all.push_back({std::string(record.at("eventName").as_string()),
                                   image ? dynamodb::detail::item_from(image->as_object()) : Item{}});
                }
                if (const auto* next = answer.if_contains("NextShardIterator"))
                    answer["ShardIterator"] = *next;
                else
                    answer.erase("ShardIterator");
            }
        }
        return all;
    }

    /// As the other programs read a row: an attribute that is missing or of another type makes their whole batch fail.
    static void expect_original_reads(const Item& row) {
        for (const char* name : {"MessageId", "AggregateId", "CorrelationId"}) {
            ASSERT_TRUE(dynamodb::detail::text_of(row, name)) << name;
            EXPECT_TRUE(Uuid::try_parse(row.at(name).text())) << name << " " << row.at(name).text();
        }
        for (const char* name : {"Topic", "Message", "CreatedAt"}) {
            ASSERT_TRUE(dynamodb::detail::text_of(row, name)) << name;
        }
        EXPECT_EQ(row.at("PK").text(), "MESSAGE#" + row.at("MessageId").text());
        EXPECT_TRUE(try_parse_iso8601(row.at("CreatedAt").text()));
        EXPECT_TRUE(row.at("CreatedAt").text().ends_with("+00:00"));
        ASSERT_TRUE(row.contains("ApproximateDispatchCount") && row.contains("IsDispatched"));
        EXPECT_GE(row.at("ApproximateDispatchCount").integer(), 0);
        const bool is_dispatched = row.at("IsDispatched").boolean();
        EXPECT_EQ(row.contains("NotDispatched"), !is_dispatched);
        if (!is_dispatched) {
            EXPECT_EQ(row.at("NotDispatched").text(), "x");
        } else {
            EXPECT_TRUE(try_parse_iso8601(row.at("LastDispatchedAt").text()));
        }
    }

    Timestamp created_at_ =
        now();  // of ours: as of a clock that runs backwards, so that the index shows the last one first
    const std::string lane_ = new_uuid().to_string();
};

TEST_F(DynamoDbShared, whatever_is_done_to_it_nothing_but_messages_are_inserted_and_all_can_be_read_by_others) {
    std::vector<std::string> published;
    const auto add = [&](const std::string& aggregate_id, const std::string& payload, bool ordered) {
        StoredMessage message = publish_shared(aggregate_id, payload, ordered);
        published.push_back(message.message_id.to_string());
        return message;
    };
    const auto lane = [] { return new_uuid().to_string(); };
    const std::string parked_lane = lane(), held_lane = lane();
    add(lane(), "unordered", false);
    add(lane_, "ordered 1", true);
    add(lane_, "ordered 2", true);
    const StoredMessage parked = add(parked_lane, "parked", true), dead = add(lane(), "dead", true),
                        held = add(held_lane, "held", true);
    add(held_lane, "behind", true);
    const std::unique_ptr<Admin> admin = dynamodb::open_admin(*db_, outbox_);
    const auto of = [](const StoredMessage& message) {
        MessageFilter filter;
        filter.ids = {message.message_id};
        return filter;
    };
    {
        dynamodb::OutboxFeed feed{*db_, shared_feed()};
        FeedReader relay{feed};
        relay.acquire();
        std::map<std::string, StoredMessage> read;
        while (read.size() < published.size()) {
            for (StoredMessage& message : relay.read())
                read.emplace(message.payload, std::move(message));
        }
        relay.mark_attempts(parked, 1);
        relay.park(parked, 1, now() + 1h);
        relay.settle({dead}, Settlement::dead, "refused");
        relay.settle({held}, Settlement::held, "refused");
        relay.settle({read.at("unordered"), read.at("ordered 1"), read.at("ordered 2")});
        add(parked_lane, "parked, too", true);
        add(lane_, "ordered 3", true);
        EXPECT_THAT(take(relay, 1), ElementsAre("ordered 3"));
        sync_wait(feed.unpark(parked_lane));
        EXPECT_THAT(take(relay, 2), ElementsAre("parked", "parked, too"));
        EXPECT_EQ(sync_wait(admin->replay(of(dead), {})), 1U);
        EXPECT_EQ(sync_wait(admin->replay(of(read.at("unordered")), {})), 1U);
        EXPECT_EQ(sync_wait(admin->skip(of(held), {})), 1U);
        EXPECT_THAT(take(relay, 3), UnorderedElementsAreArray({"dead", "unordered", "behind"}));
        EXPECT_TRUE(relay.is_drained());
        relay.release();
    }
    {
        dynamodb::ConsumerStore store{*db_, "billing", "inbox-" + outbox_, state_table()};
        Delivery delivery;
        delivery.message = dead;
        const std::vector<Delivery> deliveries{delivery};
        sync_wait(store.park(deliveries, now() + 1h, "later"));
    }
    {
        txm::testing::FakePublisher broker;
        dynamodb::StreamStep step{*db_, broker, shared_feed()};
        std::string image;
        dynamodb::detail::append_json(image, row(add(lane_, "by a step", true)).value());
        const std::string event =
            R"({"Records":[{"eventName":"INSERT","dynamodb":{"SequenceNumber":"1","NewImage":)" + image + "}}]}";
        EXPECT_EQ(sync_wait(step.run(event)), R"({"batchItemFailures":[]})");
        EXPECT_THAT(payloads(broker.accepted), ElementsAre("by a step"));
    }
    std::vector<std::string> inserted;
    const std::set<std::string> known{"PK",           "MessageId",     "AggregateId",      "CorrelationId",
                                      "Topic",        "Message",       "CreatedAt",        "ApproximateDispatchCount",
                                      "IsDispatched", "NotDispatched", "LastDispatchedAt", "StoredAt",
                                      "Sequence",     "ExpiresAt",     "PreviousMessageId"};
    for (const Change& change : changes()) {
        ASSERT_NE(change.event, "REMOVE");
        if (change.event == "INSERT")
            inserted.push_back(change.row.at("MessageId").text());
        expect_original_reads(change.row);
        for (const auto& [name, value] : change.row)
            EXPECT_TRUE(known.contains(name)) << name;
    }
    EXPECT_THAT(inserted, UnorderedElementsAreArray(published));
}

/// Both kinds of writers on one aggregate, while a relay runs.
class DynamoDbMixed : public DynamoDbShared, public ::testing::WithParamInterface<dynamodb::FeedKind> {};

TEST_P(DynamoDbMixed, rows_of_others_and_of_ours_are_all_relayed_and_ours_in_order) {
    constexpr int of_each = 40;
    put_original(lane_, "theirs");  // before there were any of ours
    const auto write_theirs = [&] {
        for (int i = 0; i < of_each; ++i)
            put_original(lane_, "theirs");
    };
    std::vector<std::string> ours;
    for (int i = 0; i < of_each; ++i)
        ours.push_back(std::to_string(i));
    for (int i = 0; i < of_each / 2; ++i)
        publish_shared(lane_, ours.at(static_cast<std::size_t>(i)), true);
    auto theirs = std::async(std::launch::async, write_theirs);
    auto mine = std::async(std::launch::async, [&] {
        for (std::size_t i = of_each / 2; i < ours.size(); ++i)
            publish_shared(lane_, ours[i], true);
    });
    std::multiset<std::string> read;
    std::vector<std::string> in_order;
    // Two relays, one after the other: the second has to find out where the first was.
    for (const std::size_t enough : {std::size_t{of_each}, std::size_t{2 * of_each + 1}}) {
        dynamodb::OutboxFeed feed{*db_, shared_feed(GetParam())};
        FeedReader relay{feed};
        relay.acquire();
        while (read.size() < enough) {
            const std::vector<StoredMessage> some = relay.read(10);
            for (const StoredMessage& message : some) {
                read.insert(message.payload);
                if (message.payload != "theirs")
                    in_order.push_back(message.payload);
            }
            relay.settle(some);
        }
        if (enough > of_each) {
            EXPECT_TRUE(relay.is_drained());
        }
        relay.release();
    }
    theirs.get();
    mine.get();
    EXPECT_EQ(in_order, ours);
    EXPECT_EQ(read.count("theirs"), of_each + 1U);
    for (const Change& change : changes())
        expect_original_reads(change.row);
    dynamodb::Session session{*db_};
    dynamodb::OutboxRepository outbox{outbox_, session, TopicMap{}};
    EXPECT_THAT(sync_wait(outbox.get_not_dispatched_messages()), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Feeds, DynamoDbMixed, ::testing::Values(dynamodb::FeedKind::poll, dynamodb::FeedKind::tail),
                         [](const auto& kind) { return kind.param == dynamodb::FeedKind::poll ? "poll" : "tail"; });

}  // namespace
}  // namespace txm::test
