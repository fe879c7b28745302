#include "core/message_json.hpp"
#include "core/headers_json.hpp"
#include "core/json_text.hpp"
#include "core/utf8.hpp"
#include "txm/error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace {

using testing::HasSubstr;
using txm::detail::headers_from_json;
using txm::detail::headers_to_json;
using txm::detail::message_from_json;
using txm::detail::message_to_json;

std::string refusal(const std::string& text) {
    try {
        message_from_json(text);
    } catch (const txm::Error& e) {
        EXPECT_EQ(e.code(), txm::Errc::invalid_message);
        return e.what();
    }
    ADD_FAILURE() << "accepted: " << text;
    return {};
}

std::string payload_of(const std::string& value) {
    return message_from_json(R"({"topic":"t","aggregate_id":"a","payload":)" + value + "}").payload;
}

TEST(MessageJson, TheSmallestMessageGetsWhatItLeavesOut) {
    const auto m = message_from_json(R"( {"topic": "orders", "aggregate_id": "42", "payload": "hello"} )");
    EXPECT_EQ(m.topic, "orders");
    EXPECT_EQ(m.aggregate_id, "42");
    EXPECT_EQ(m.payload, "hello");
    EXPECT_FALSE(m.message_id.is_nil());
    EXPECT_EQ(m.correlation_id, m.message_id);
    EXPECT_EQ(m.type, "");
    EXPECT_LE(abs(txm::now() - m.created_at), std::chrono::seconds{10});
    EXPECT_TRUE(m.headers.empty());
}

TEST(MessageJson, APayloadThatIsNoStringKeepsItsSourceText) {
    for (const char* source : {R"({"total": 1.10, "id": 12345678901234567890123,  "list":[1,2 , {"a":null}] })", "1.50",
                               "-0", "1e400", "true", "null", "[]", "{}", R"(["\u00e9", "a\/b"])", "0.1E-7"})
        EXPECT_EQ(payload_of(source), source);
    EXPECT_EQ(payload_of(std::string(100'000, '[') + std::string(100'000, ']')).size(), 200'000u);
}

TEST(MessageJson, APayloadThatIsAStringGivesItsText) {
    EXPECT_EQ(payload_of(R"("{\"a\":1.10}")"), "{\"a\":1.10}");
    EXPECT_EQ(payload_of(R"("\u00e9\ud83d\ude00\n\\")"), "\xc3\xa9\xf0\x9f\x98\x80\n\\");
    EXPECT_EQ(payload_of(R"("")"), "");
}

TEST(MessageJson, OutputIsInputAgain) {
    txm::StoredMessage m;
    m.message_id = txm::new_uuid();
    m.correlation_id = txm::new_uuid();
    m.aggregate_id = "a \"quoted\" one";
    m.topic = "orders";
    m.type = "order-created";
    m.payload = "{\"x\":\t\"\x01\xc3\xa9\"}\n";
    m.headers = {{"trace", "1"}, {"a\\b", "\""}};
    m.created_at = txm::parse_iso8601("2023-11-02T10:15:30.123456+00:00");
    m.stored_at = txm::parse_iso8601("2023-11-02T10:15:31+00:00");
    m.sequence = 17;
    m.state = txm::MessageState::parked;
    const std::string text = message_to_json(m);
    EXPECT_EQ(text.find('\n'), std::string::npos);
    EXPECT_THAT(text, HasSubstr(R"("sequence":17,"state":"parked")"));
    EXPECT_THAT(text, HasSubstr(R"("stored_at":"2023-11-02T10:15:31+00:00")"));
    // What only the store decides is ignored.
    m.stored_at = {};
    m.sequence = 0;
    m.state = txm::MessageState::pending;
    EXPECT_EQ(message_from_json(text), m);
}

TEST(MessageJson, SaysWhatIsWrong) {
    const std::string rest = R"("aggregate_id":"a","payload":1})";
    EXPECT_THAT(refusal(R"({"topik":"t",)" + rest), HasSubstr("unknown key \"topik\""));
    EXPECT_THAT(refusal("{" + rest), HasSubstr("\"topic\" is missing"));
    EXPECT_THAT(refusal(R"({"topic":"t","aggregate_id":"a"})"), HasSubstr("\"payload\" is missing"));
    EXPECT_THAT(refusal(R"({"topic":7,)" + rest), HasSubstr("\"topic\" is not a string"));
    EXPECT_THAT(refusal(R"({"topic":"t","topic":"t",)" + rest), HasSubstr("given twice"));
    EXPECT_THAT(refusal(R"({"topic":"t","message_id":"17",)" + rest), HasSubstr("not a UUID: \"17\""));
    EXPECT_THAT(refusal(R"({"topic":"t","created_at":"yesterday",)" + rest), HasSubstr("\"yesterday\""));
    EXPECT_THAT(refusal(R"({"topic":"t","headers":{"a":1},)" + rest), HasSubstr("header \"a\" is not a string"));
    EXPECT_THAT(refusal("[1]"), HasSubstr("expected a JSON object"));
    EXPECT_THAT(refusal(""), HasSubstr("expected a JSON object"));
    EXPECT_THAT(refusal(R"({"topic":"t",)"), HasSubstr("column 14"));
    EXPECT_THAT(refusal(R"({"topic":"t",)" + rest + "x"), HasSubstr("something follows"));
}

TEST(MessageJson, RefusesWhatIsNoJson) {
    for (const char* value :
         {"",           "01",      "1.",          ".5",          "+1",       "1e",    "tru",       "nul",      "'a'",
          "\"a",        "\"\\x\"", "\"\\u12g4\"", "\"\\ud800\"", "[1,]",     "[1 2]", "{\"a\"}",   "{\"a\":}", "{a:1}",
          "{\"a\":1,}", "[",       "{",           "]",           "\"a\nb\"", "[}",    "{\"a\":[}", "NaN",      "//"})
        EXPECT_THROW(payload_of(value), txm::Error) << value;
}

TEST(MessageJson, EveryCutOfAMessageIsRefused) {
    const std::string whole =
        R"({"topic":"t","aggregate_id":"a","payload":{"n":[1.5e3,"\u00e9",{"x":null}]},"headers":{"a":"b"}})";
    message_from_json(whole);
    for (std::size_t length = 0; length < whole.size(); ++length)
        EXPECT_THROW(message_from_json(whole.substr(0, length)), txm::Error) << length;
}

TEST(HeadersJson, GoBothWays) {
    EXPECT_EQ(headers_to_json({}), "{}");
    EXPECT_EQ(headers_from_json("{}"), txm::Headers{});
    EXPECT_EQ(headers_from_json(" { } "), txm::Headers{});
    const txm::Headers headers{{"", "empty"}, {"a\"b", "\x01\n\\"}, {"\xc3\xa9", ""}};
    EXPECT_EQ(headers_from_json(headers_to_json(headers)), headers);
    EXPECT_EQ(headers_to_json({{"b", "2"}, {"a", "1"}}), R"({"a":"1","b":"2"})");
    for (const char* text : {"", "[]", "null", "{\"a\":1}", "{\"a\":\"1\"", "{\"a\":\"1\",\"a\":\"2\"}", "{} {}"})
        EXPECT_THROW(headers_from_json(text), txm::Error) << text;
}

TEST(Utf8, FollowsTheStandard) {
    using txm::detail::is_utf8;
    for (const char* good : {"", "plain", "a long line of plain text, more than eight bytes", "\xc3\xa9",
                             "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf",
                             "12345678\xc3\xa9"
                             "12345678"})
        EXPECT_TRUE(is_utf8(good)) << good;
    for (const char* bad : {"\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
                            "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "12345678\xe2\x82", "\xc3\x28"})
        EXPECT_FALSE(is_utf8(bad)) << bad;
}

TEST(Utf8, APrefixEndsWithAWholeCharacter) {
    using txm::detail::utf8_prefix;
    const std::string_view text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
    const std::size_t ends[]{0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    for (std::size_t most = 0; most < std::size(ends); ++most)
        EXPECT_EQ(utf8_prefix(text, most), text.substr(0, ends[most])) << most;
}

}  // namespace
