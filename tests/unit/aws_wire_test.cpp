#include "brokers/aws/envelope.hpp"
#include "brokers/aws/names.hpp"
#include "brokers/aws/text.hpp"
#include "brokers/aws/wire.hpp"
#include "support/broker_messages.hpp"
#include "txm/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace txm::aws::detail {
namespace {

using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

const BrokerOptions plain{ClientOptions{"eu-west-1"}};

BrokerOptions with(Envelope envelope) {
    BrokerOptions options = plain;
    options.envelope = envelope;
    return options;
}

/// What a queue gives of it.
Received carried(const WireMessage& wire) {
    Received received;
    received.id = "8a1f6c9e-2b7d-4c1e-9b8a-0d1e2f3a4b5c";
    received.body = wire.body;
    received.attributes = wire.attributes;
    received.sent_at = parse_iso8601("2024-05-06T07:08:09Z");
    return received;
}

Delivery through(const StoredMessage& message, const BrokerOptions& options = plain) {
    return from_wire(carried(to_wire(message, options)), message.topic);
}

Received foreign(std::string body) {
    Received received;
    received.id = "8a1f6c9e-2b7d-4c1e-9b8a-0d1e2f3a4b5c";
    received.body = std::move(body);
    received.sent_at = parse_iso8601("2024-05-06T07:08:09Z");
    return received;
}

std::string attribute(const WireMessage& wire, const std::string& name) {
    for (const auto& [key, value] : wire.attributes)
        if (key == name)
            return value;
    return {};
}

StoredMessage with_payload(std::string payload) {
    StoredMessage message = test::message("orders", "anna", "");
    message.payload = std::move(payload);
    return message;
}

TEST(AwsWire, what_subscribers_filter_by_is_an_attribute_and_the_rest_is_one) {
    const StoredMessage message = test::message("orders", "anna", "{}");
    const WireMessage wire = to_wire(message, plain);
    EXPECT_EQ(wire.body, "{}");
    EXPECT_THAT(wire.attributes, SizeIs(6));
    EXPECT_EQ(attribute(wire, "message-id"), message.message_id.to_string());
    EXPECT_EQ(attribute(wire, "aggregate-id"), "anna");
    EXPECT_EQ(attribute(wire, "correlation-id"), message.correlation_id.to_string());
    EXPECT_EQ(attribute(wire, "type"), message.type);
    EXPECT_EQ(attribute(wire, "topic"), "orders");
    EXPECT_THAT(attribute(wire, "txm-headers"), HasSubstr("\"stored-at\":\"" + to_iso8601(message.stored_at) + '"'));
}

TEST(AwsWire, no_attribute_is_empty) {
    StoredMessage message = test::message("orders", "anna", "{}");
    message.type = "";
    for (const auto& [name, value] : to_wire(message, plain).attributes)
        EXPECT_FALSE(value.empty()) << name;
}

TEST(AwsWire, nothing_is_sent_that_sqs_would_replace) {
    StoredMessage message = with_payload(std::string("a\0b\x01\xef\xbf\xbe", 7));
    message.aggregate_id = AggregateId("x\x02y\xef\xbf\xbf");
    message.type = "t\x1f";
    message.headers = {{"na\x03me", "val\xef\xbf\xbfue\x04"}};
    const WireMessage wire = to_wire(message, plain);
    EXPECT_TRUE(is_allowed(wire.body));
    for (const auto& [name, value] : wire.attributes)
        EXPECT_TRUE(is_allowed(value)) << name;
    const StoredMessage arrived = through(message).message;
    EXPECT_EQ(arrived.payload, message.payload);
    EXPECT_EQ(arrived.aggregate_id, message.aggregate_id);
    EXPECT_EQ(arrived.type, message.type);
    EXPECT_EQ(arrived.headers, message.headers);
}

TEST(AwsWire, user_headers_do_not_meet_those_of_txm) {
    StoredMessage message = with_payload("{}");
    message.headers = {{"sequence", "mine"},           {"message-id", "x"}, {"~sequence", "y"},
                       {"payload-encoding", "base64"}, {"stored-at", ""},   {"epoch", "3"}};
    const StoredMessage arrived = through(message).message;
    EXPECT_EQ(arrived.headers, message.headers);
    EXPECT_EQ(arrived.sequence, message.sequence);
    EXPECT_EQ(arrived.message_id, message.message_id);
    EXPECT_EQ(arrived.stored_at, message.stored_at);
}

TEST(AwsWire, any_payload_arrives_as_it_was) {
    for (const Envelope envelope : {Envelope::none, Envelope::tomodachi})
        for (const std::string& payload :
             {std::string(), std::string("{\"total\":1.50}"), std::string("not JSON"), std::string("\"a JSON string\""),
              std::string("\0\x7f", 2), std::string("\xef\xbf\xbf"), std::string("1e400"),
              std::string(R"({"Type":"Notification","MessageId":"1","TopicArn":"a","Message":"b"})"),
              to_wire(with_payload("{\"x\":1}"), with(Envelope::tomodachi)).body, std::string(60'001, 'a')})
            EXPECT_EQ(through(with_payload(payload), with(envelope)).message.payload, payload);
}

TEST(AwsWire, a_replay_has_another_deduplication_id) {
    BrokerOptions fifo = plain;
    fifo.fifo = true;
    StoredMessage message = with_payload("{}");
    EXPECT_EQ(to_wire(message, fifo).deduplication, message.message_id.to_string());
    message.replays = 12;
    EXPECT_EQ(to_wire(message, fifo).deduplication, message.message_id.to_string() + "#r12");
    const Delivery delivery = through(message);
    EXPECT_TRUE(delivery.replay);
    EXPECT_EQ(delivery.message.message_id, message.message_id);
}

TEST(AwsWire, a_group_is_the_aggregate_or_a_digest_of_it) {
    EXPECT_EQ(group_of("customer-7/!~"), "customer-7/!~");
    EXPECT_EQ(group_of(AggregateId(std::string(128, 'a'))), std::string(128, 'a'));
    // Another version of txm that computed another group would break the order.
    EXPECT_EQ(group_of("ä"), "sha256:33e6d73fee82904c8d7afb78de1154d1e8dc2a0edb08120e63df5b9385c2d9cc");
    for (const std::string& odd : {std::string(129, 'a'), std::string("a b"), std::string("a\tb"), std::string("ä")}) {
        EXPECT_THAT(group_of(AggregateId(odd)), StartsWith("sha256:"));
        EXPECT_EQ(group_of(AggregateId(odd)).size(), 71U);
    }
    EXPECT_NE(group_of("a b"), group_of("a c"));
}

TEST(AwsWire, a_name_that_aws_does_not_allow_says_so) {
    BrokerOptions options = plain;
    options.prefix = "shop-";
    EXPECT_EQ(queue_name(options, "orders", "billing"), "shop-orders--billing");
    options.fifo = true;
    EXPECT_EQ(topic_name(options, "orders"), "shop-orders.fifo");
    try {
        topic_name(options, "orders.created");
        FAIL();
    } catch (const Error& e) {
        EXPECT_THAT(e.what(), HasSubstr("shop-orders.created"));
        EXPECT_THAT(e.what(), HasSubstr("letters, digits"));
    }
    EXPECT_NO_THROW(queue_name(options, std::string(70, 'a')));
    EXPECT_THROW(queue_name(options, std::string(71, 'a')), Error);
}

TEST(AwsWire, a_foreign_message_has_the_same_id_whenever_it_comes) {
    const Delivery first = from_wire(foreign("{\"a\":1}"), "orders");
    EXPECT_FALSE(first.message.message_id.is_nil());
    EXPECT_EQ(from_wire(foreign("{\"a\":1}"), "orders").message.message_id, first.message.message_id);
    Received other = foreign("{\"a\":1}");
    other.id = "11111111-2b7d-4c1e-9b8a-0d1e2f3a4b5c";
    EXPECT_NE(from_wire(other, "orders").message.message_id, first.message.message_id);
    EXPECT_EQ(first.message.payload, "{\"a\":1}");
    EXPECT_EQ(first.message.stored_at, parse_iso8601("2024-05-06T07:08:09Z"));
    EXPECT_EQ(first.message.aggregate_id.str(), first.message.message_id.to_string());
    EXPECT_EQ(first.message.topic, "orders");
}

TEST(AwsWire, the_group_of_a_foreign_message_is_its_aggregate_and_attributes_are_headers) {
    Received received = foreign("x");
    received.group = "customer-7";
    received.count = 3;
    received.attributes = {{"tenant", "acme"}, {"type", "order-created"}};
    const Delivery delivery = from_wire(received, "orders");
    EXPECT_EQ(delivery.message.aggregate_id.str(), "customer-7");
    EXPECT_EQ(delivery.message.headers, (Headers{{"tenant", "acme"}}));
    EXPECT_EQ(delivery.message.type, "order-created");
    EXPECT_EQ(delivery.attempt, 3);
    EXPECT_TRUE(delivery.redelivered);
}

TEST(AwsWire, what_sns_wrapped_is_unwrapped) {
    const std::string notification = R"({"Type":"Notification","MessageId":"m-1","TopicArn":"arn:aws:sns:x:1:orders",)"
                                     R"("Message":"{\"a\": 1.50}","Timestamp":"2024-01-02T03:04:05Z")";
    const std::string own =
        notification + R"(,"MessageAttributes":{"message-id":{"Type":"String","Value":)"
                       R"("0190d6a4-1c2b-7d3e-8f40-5a6b7c8d9e0f"},"aggregate-id":{"Type":"String","Value":"anna"},)"
                       R"("txm-headers":{"Type":"String","Value":"{\"sequence\":\"7\",\"shop\":\"one\"}"}}})";
    const StoredMessage message = from_wire(foreign(own), "orders").message;
    EXPECT_EQ(message.message_id.to_string(), "0190d6a4-1c2b-7d3e-8f40-5a6b7c8d9e0f");
    EXPECT_EQ(message.aggregate_id.str(), "anna");
    EXPECT_EQ(message.payload, "{\"a\": 1.50}");
    EXPECT_EQ(message.sequence, 7);
    EXPECT_EQ(message.headers, (Headers{{"shop", "one"}}));

    // A foreign one is known by the id that SNS gave it: SNS may send it to the queue twice.
    Received first = foreign(notification + "}"), again = foreign(notification + "}");
    again.id = "11111111-2b7d-4c1e-9b8a-0d1e2f3a4b5c";
    EXPECT_EQ(from_wire(first, "orders").message.message_id, from_wire(again, "orders").message.message_id);
    EXPECT_EQ(from_wire(first, "orders").message.payload, "{\"a\": 1.50}");
}

TEST(AwsEnvelope, is_what_tomodachi_services_expect) {
    StoredMessage message = with_payload("{\"total\": 1.50, \"n\":1e2}");
    message.message_id = Uuid::parse("0190d6a4-1c2b-7d3e-8f40-5a6b7c8d9e0f");
    message.created_at = parse_iso8601("2024-01-02T03:04:05.678901Z");
    EXPECT_EQ(
        to_wire(message, with(Envelope::tomodachi)).body,
        R"({"service":{"name":null,"uuid":null},"metadata":{"message_uuid":".0190d6a4-1c2b-7d3e-8f40-5a6b7c8d9e0f",)"
        R"("protocol_version":"tomodachi-json-base--1.0.0","compatible_protocol_versions":["json_base-wip"],)"
        R"("timestamp":1704164645.678901,"topic":"orders","data_encoding":"raw"},"data":{"total": 1.50, "n":1e2}})");
}

TEST(AwsEnvelope, data_is_compressed_from_60000_characters) {
    const auto of_length = [](std::size_t n) { return "\"" + std::string(n - 2, 'x') + "\""; };
    EXPECT_THAT(wrap_for_tomodachi(with_payload(of_length(59'999))).body, HasSubstr(R"("data_encoding":"raw")"));
    const std::string body = wrap_for_tomodachi(with_payload(of_length(60'000))).body;
    EXPECT_THAT(body, HasSubstr(R"("data_encoding":"base64_gzip_json"},"data":"eJ)"));
    EXPECT_EQ(unwrap_tomodachi(body)->data, of_length(60'000));
    // Characters, not bytes.
    std::string umlauts;
    for (int i = 0; i < 59'997; ++i)
        umlauts += "ä";
    EXPECT_THAT(wrap_for_tomodachi(with_payload('"' + umlauts + '"')).body, HasSubstr(R"("data_encoding":"raw")"));
}

TEST(AwsEnvelope, one_from_a_tomodachi_service_is_understood) {
    // base64.b64encode(zlib.compress(json.dumps({"total": 1.5}).encode()))
    const std::string head =
        R"({"service": {"name": "shop", "uuid": "3f0c"}, "metadata": {"message_uuid": )"
        R"("5d4f.7c9e6679-7425-40de-944b-e07fc1f90ae7", "protocol_version": "tomodachi-json-base--1.0.0", )"
        R"("compatible_protocol_versions": ["json_base-wip"], "timestamp": 1704164645.25, "topic": "orders", )";
    const std::string packed =
        head + R"("data_encoding": "base64_gzip_json"}, "data": "eJyrVirJL0nMUbJSMNQzrQUAIycETw=="})";
    const StoredMessage message = from_wire(foreign(packed), "orders").message;
    EXPECT_EQ(message.payload, "{\"total\": 1.5}");
    EXPECT_EQ(message.message_id.to_string(), "7c9e6679-7425-40de-944b-e07fc1f90ae7");
    EXPECT_EQ(message.created_at, parse_iso8601("2024-01-02T03:04:05.25Z"));

    const std::string raw = head + R"("data_encoding": "raw"}, "data": {"total": 1.50}})";
    EXPECT_EQ(from_wire(foreign(raw), "orders").message.payload, "{\"total\": 1.50}");
    const std::string text = head + R"("data_encoding": "raw"}, "data": "a \"text\""})";
    EXPECT_EQ(from_wire(foreign(text), "orders").message.payload, "a \"text\"");
}

TEST(AwsEnvelope, one_that_cannot_be_unpacked_arrives_as_it_is) {
    const auto envelope = [](const std::string& encoding, const std::string& data) {
        return R"({"metadata":{"message_uuid":".x","protocol_version":"tomodachi-json-base--1.0.0","data_encoding":")" +
               encoding + R"("},"data":)" + data + "}";
    };
    for (const std::string& broken : {envelope("base64_gzip_json", "\"eJyr\""), envelope("base64_gzip_json", "\"?\""),
                                      envelope("base64_gzip_json", "7"), envelope("raw", R"("\ud800")")})
        EXPECT_EQ(from_wire(foreign(broken), "orders").message.payload, broken);
}

}  // namespace
}  // namespace txm::aws::detail
