#include "txm/error.hpp"
#include "txm/publisher.hpp"
#include "txm/sync_wait.hpp"
#include "txm/testing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace events {

struct Event {
    txm::Uuid message_id = txm::new_uuid(), correlation_id{};
    std::string aggregate_id = "customer-1";  // a string key is as good as a UUID
    txm::Timestamp created_at = txm::now();
    virtual ~Event() = default;
    virtual std::string serialize() const = 0;
};
struct Opened final : Event {
    std::string serialize() const override { return "opened"; }
};
struct Closed final : Event {
    std::string serialize() const override { return "closed"; }
};
struct Renamed final : Event {
    std::string serialize() const override { return "renamed"; }
};

// Functions where Event has fields, a Uuid for an aggregate, and headers.
struct Paid {
    txm::Uuid id = txm::new_uuid(), order = txm::new_uuid();
    std::string body = "paid";
    txm::Uuid message_id() const { return id; }
    txm::Uuid aggregate_id() const { return order; }
    txm::Uuid correlation_id() const { return order; }
    std::chrono::system_clock::time_point created_at() const { return {}; }
    std::string serialize() const { return body; }
    txm::Headers headers() const { return {{"currency", "EUR"}}; }
};

// Generated code, which cannot be changed.
struct Invoice {
    txm::Uuid id = txm::new_uuid();
    std::string SerializeAsString() const { return "protobuf"; }
};

}  // namespace events

template <>
struct txm::MessageTraits<events::Invoice> {
    static Uuid message_id(const events::Invoice& m) { return m.id; }
    static AggregateId aggregate_id(const events::Invoice&) { return "acme"; }
    static Uuid correlation_id(const events::Invoice& m) { return m.id; }
    static Timestamp created_at(const events::Invoice&) { return now(); }
    static std::string serialize(const events::Invoice& m) { return m.SerializeAsString(); }
};

namespace {

using events::Closed;
using events::Event;
using events::Invoice;
using events::Opened;
using events::Paid;
using events::Renamed;
using testing::HasSubstr;

const txm::TopicMap topics{txm::topic<Opened>("customers", "opened"), txm::topic<Closed>("customers", "closed"),
                           txm::topic<Paid>("payments", "paid"), txm::topic<Invoice>("invoices", "invoice")};

class Publishing : public testing::Test {
protected:
    void commit() { txm::sync_wait(session.commit()); }

    txm::testing::FakeSession session;
    txm::testing::FakeOutboxRepository outbox{session, topics};
};

TEST_F(Publishing, TakesBasesRangesVariantsPointersAndOptionals) {
    const Opened opened;
    const Event& base = opened;
    std::vector<std::unique_ptr<Event>> list;
    list.push_back(std::make_unique<Closed>());
    const std::vector<std::variant<Opened, Closed>> either{Opened{}, Closed{}};
    const Paid paid;
    outbox.publish(base, list, either, std::optional<Closed>{Closed{}}, Invoice{}, &paid, std::list<Invoice>(2),
                   std::make_shared<const Closed>());
    EXPECT_TRUE(outbox.stored().empty());
    commit();
    EXPECT_EQ(outbox.messages<Closed>().size(), 4u);
    EXPECT_EQ(outbox.messages<Opened>().at(0).message_id, opened.message_id);
    EXPECT_EQ(outbox.messages<Invoice>().size(), 3u);
    EXPECT_EQ(outbox.stored().size(), 10u);
}

TEST_F(Publishing, FillsTheStoredMessageFromFieldsAndFunctions) {
    const Opened opened;
    const Paid paid;
    outbox.publish(opened, paid);
    commit();
    const auto stored = outbox.stored();
    EXPECT_EQ(stored[0].message_id, opened.message_id);
    EXPECT_EQ(stored[0].correlation_id, opened.message_id);  // it gave none
    EXPECT_EQ(stored[0].aggregate_id, "customer-1");
    EXPECT_EQ(stored[0].topic, "customers");
    EXPECT_EQ(stored[0].type, "opened");
    EXPECT_EQ(stored[0].payload, "opened");
    EXPECT_EQ(stored[0].created_at, opened.created_at);
    EXPECT_EQ(stored[1].aggregate_id, paid.order);
    EXPECT_EQ(stored[1].correlation_id, paid.order);
    EXPECT_EQ(stored[1].headers.at("currency"), "EUR");
    EXPECT_EQ(stored[1].created_at, txm::Timestamp{});
    EXPECT_LT(stored[0].sequence, stored[1].sequence);
}

TEST_F(Publishing, TakesAllOfACallOrNothing) {
    EXPECT_THROW(outbox.publish(Closed{}, Renamed{}), txm::UnknownTopicError);
    EXPECT_THROW(outbox.publish(Closed{}, std::unique_ptr<Closed>{}), std::invalid_argument);
    EXPECT_THROW(outbox.publish(Closed{}, std::optional<Closed>{}), std::invalid_argument);
    Paid nil;
    nil.id = {};
    EXPECT_THROW(outbox.publish(Closed{}, nil), std::invalid_argument);
    const Closed twice;
    EXPECT_THROW(outbox.publish(twice, Opened{}, twice), std::invalid_argument);
    EXPECT_EQ(session.staged(), txm::Staged::nothing);
    commit();
    EXPECT_TRUE(outbox.stored().empty());
}

TEST_F(Publishing, AnUnknownTypeIsNamedAsInTheSource) {
    try {
        const Renamed renamed;
        const Event& base = renamed;
        outbox.publish(base);
        FAIL();
    } catch (const txm::UnknownTopicError& e) {
        EXPECT_THAT(e.what(), HasSubstr("txm::topic<events::Renamed>("));
        EXPECT_EQ(e.code(), txm::Errc::unknown_topic);
    }
}

TEST_F(Publishing, RefusesWhatNoStoreAndBrokerCanCarry) {
    const auto refuse = [&](std::string payload) {
        Paid paid;
        paid.body = std::move(payload);
        try {
            outbox.publish(paid);
            ADD_FAILURE() << "accepted";
        } catch (const txm::Error& e) {
            EXPECT_EQ(e.code(), txm::Errc::invalid_message);
            EXPECT_EQ(e.message_id(), paid.id);
            return std::string(e.what());
        }
        return std::string{};
    };
    EXPECT_THAT(refuse("caf\xe9"), HasSubstr("not valid UTF-8"));
    EXPECT_THAT(refuse(std::string((1 << 20) + 1, 'x')), HasSubstr("1048577 bytes"));
    Paid largest;
    largest.body = std::string(1 << 20, 'x');
    outbox.publish(largest);

    txm::StoredMessage m;
    EXPECT_THROW(outbox.publish(m), std::invalid_argument);
    m.message_id = txm::new_uuid();
    m.aggregate_id = "a";
    EXPECT_THROW(outbox.publish(m), txm::Error);  // no topic
    m.topic = "t";
    m.aggregate_id = "";
    EXPECT_THROW(outbox.publish(m), txm::Error);
    m.aggregate_id = "a\xff";
    EXPECT_THROW(outbox.publish(m), txm::Error);
    m.aggregate_id = "a";
    m.headers = {{"h", "\xff"}};
    EXPECT_THROW(outbox.publish(m), txm::Error);
}

TEST_F(Publishing, AStoredMessageGoesAsItIs) {
    txm::StoredMessage m;
    m.message_id = txm::new_uuid();
    m.aggregate_id = "a";
    m.topic = "anything";
    m.payload = "{}";
    outbox.publish(std::vector{m});
    commit();
    EXPECT_EQ(outbox.stored().at(0).topic, "anything");
    EXPECT_EQ(outbox.stored().at(0).correlation_id, m.message_id);
}

TEST_F(Publishing, AnIdThatIsPublishedTwiceWritesNothing) {
    const Closed closed;
    outbox.publish(closed);
    commit();
    outbox.publish(Opened{}, closed);
    EXPECT_THROW(commit(), txm::MessageAlreadyPublishedError);
    outbox.publish(Opened{});
    const Opened twice;
    outbox.publish(twice);
    outbox.publish(twice);
    EXPECT_THROW(commit(), txm::MessageAlreadyPublishedError);
    EXPECT_EQ(outbox.stored().size(), 1u);
}

TEST(TopicMap, RefusesMistakesWhenItIsMade) {
    EXPECT_THROW((txm::TopicMap{txm::topic<Opened>("a", "x"), txm::topic<Opened>("b", "y")}), std::invalid_argument);
    EXPECT_THROW((txm::TopicMap{txm::topic<Opened>("a", "x"), txm::topic<Closed>("a", "x")}), std::invalid_argument);
    EXPECT_THROW(txm::topic<Opened>("", "x"), std::invalid_argument);
    EXPECT_THROW(txm::topic<Opened>("a", ""), std::invalid_argument);
    EXPECT_EQ((txm::TopicMap{txm::topic<Opened>("a", "x"), txm::topic<Closed>("b", "x")}.at(typeid(Closed)).name), "b");
}

TEST(PublishBatch, AReportCountsAndAnAcknowledgementIsFinal) {
    const std::vector<txm::StoredMessage> messages(3);
    txm::PublishBatch batch{messages};
    batch.acknowledge(messages[0]);
    batch.refuse(messages[0], "too late");
    batch.refuse(messages[1], "no");
    EXPECT_EQ(batch.report(0), txm::PublishBatch::Report::acknowledged);
    EXPECT_EQ(batch.report(1), txm::PublishBatch::Report::refused);
    EXPECT_EQ(batch.reason(1), "no");
    EXPECT_EQ(batch.report(2), txm::PublishBatch::Report::unknown);
    const txm::StoredMessage copy = messages[2];
    EXPECT_THROW(batch.acknowledge(copy), std::invalid_argument);
}

TEST(Incoming, PayloadHashIsFnv1a) {
    EXPECT_EQ(txm::payload_hash(""), 0xcbf29ce484222325U);
    EXPECT_EQ(txm::payload_hash("foobar"), 0x85944171f73967e8U);
}

TEST(Error, SaysOneSentenceAndWhetherToTryAgain) {
    const auto id = txm::new_uuid();
    const txm::MessageNotFoundError missing{id};
    EXPECT_THAT(missing.what(), HasSubstr(id.to_string()));
    EXPECT_EQ(missing.message_id(), id);
    EXPECT_FALSE(missing.retryable());
    EXPECT_TRUE((txm::Error{txm::Errc::store_unavailable, "the database is locked", {}, "SQLITE_BUSY"}.retryable()));
    const std::error_code code = txm::Errc::fence_lost;
    EXPECT_STREQ(code.category().name(), "txm");
    EXPECT_EQ(txm::FenceLostError{"gone"}.code(), code);
}

}  // namespace
