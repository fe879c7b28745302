#include "txm/timestamp.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <stdexcept>
#include <string>

namespace {

using namespace std::chrono;
using txm::parse_iso8601;
using txm::Timestamp;
using txm::to_iso8601;

const Timestamp reference = sys_days{2023y / November / 2} + 10h + 15min + 30s + 123456us;

TEST(Timestamp, IsWrittenWithSixDigitsOrNone) {
    EXPECT_EQ(to_iso8601(reference), "2023-11-02T10:15:30.123456+00:00");
    EXPECT_EQ(to_iso8601(floor<seconds>(reference)), "2023-11-02T10:15:30+00:00");
    EXPECT_EQ(to_iso8601(floor<seconds>(reference) + 1us), "2023-11-02T10:15:30.000001+00:00");
    EXPECT_EQ(to_iso8601(Timestamp{}), "1970-01-01T00:00:00+00:00");
    EXPECT_EQ(to_iso8601(Timestamp{-1us}), "1969-12-31T23:59:59.999999+00:00");
    EXPECT_EQ(to_iso8601(sys_days{9999y / December / 31}), "9999-12-31T00:00:00+00:00");
}

TEST(Timestamp, OutsideFourDigitYearsHasNoText) {
    EXPECT_THROW(to_iso8601(sys_days{year{10'000} / 1 / 1}), std::out_of_range);
    EXPECT_THROW(to_iso8601(sys_days{year{-1} / 12 / 31}), std::out_of_range);
    EXPECT_THROW(to_iso8601(Timestamp::max()), std::out_of_range);
}

TEST(Timestamp, IsReadInEveryUsualForm) {
    const Timestamp whole = floor<seconds>(reference);
    EXPECT_EQ(parse_iso8601("2023-11-02T10:15:30.123456+00:00"), reference);
    EXPECT_EQ(parse_iso8601("2023-11-02T10:15:30.123456Z"), reference);
    EXPECT_EQ(parse_iso8601("2023-11-02T10:15:30.123456"), reference);
    EXPECT_EQ(parse_iso8601("2023-11-02 10:15:30.123456"), reference);
    EXPECT_EQ(parse_iso8601("2023-11-02t10:15:30.123456z"), reference);
    EXPECT_EQ(parse_iso8601("2023-11-02T10:15:30,123456"), reference);
    EXPECT_EQ(parse_iso8601("2023-11-02T10:15:30.123456999"), reference);
    EXPECT_EQ(parse_iso8601("2023-11-02T10:15:30.1"), whole + 100ms);
    EXPECT_EQ(parse_iso8601("2023-11-02T10:15:30"), whole);
    EXPECT_EQ(parse_iso8601("2023-11-02T12:15:30+02:00"), whole);
    EXPECT_EQ(parse_iso8601("2023-11-02T04:45:30-0530"), whole);
    EXPECT_EQ(parse_iso8601("2023-11-02T11:15:30+01"), whole);
    EXPECT_EQ(parse_iso8601("2024-02-29T00:00:00Z"), Timestamp{sys_days{2024y / February / 29}});
}

TEST(Timestamp, RefusesWhatIsNoTime) {
    for (const char* text : {"",
                             "now",
                             "2023-11-02",
                             "2023-11-02T10:15",
                             "2023-11-02T10:15:30.",
                             "2023-11-02T10:15:30.1234567890",
                             "2023-02-29T00:00:00",
                             "2023-13-01T00:00:00",
                             "2023-00-01T00:00:00",
                             "2023-01-32T00:00:00",
                             "2023-01-01T24:00:00",
                             "2023-01-01T00:60:00",
                             "2023-01-01T00:00:60",
                             "2023-01-01T00:00:00+24:00",
                             "2023-01-01T00:00:00+1",
                             "2023-01-01T00:00:00+01:",
                             "2023-01-01T00:00:00Zx",
                             " 2023-01-01T00:00:00",
                             "23-01-01T00:00:00",
                             "2023-1-1T00:00:00",
                             "0000-01-01T00:00:00+00:01",
                             "9999-12-31T23:59:59-00:01",
                             "-023-01-01T00:00:00"}) {
        EXPECT_FALSE(txm::try_parse_iso8601(text)) << text;
        EXPECT_THROW(parse_iso8601(text), std::invalid_argument) << text;
    }
}

TEST(Timestamp, OfAnyValueIsItselfAfterARoundTrip) {
    std::mt19937_64 random{7};
    const auto first = Timestamp{sys_days{year{0} / 1 / 1}}.time_since_epoch().count();
    const auto last = Timestamp{sys_days{year{10'000} / 1 / 1}}.time_since_epoch().count() - 1;
    std::uniform_int_distribution<std::int64_t> any{first, last};
    for (int i = 0; i < 100'000; ++i) {
        const Timestamp time{microseconds{any(random)}};
        ASSERT_EQ(parse_iso8601(to_iso8601(time)), time) << to_iso8601(time);
    }
}

TEST(Timestamp, NowIsTheWallClock) {
    EXPECT_LE(abs(txm::now() - floor<microseconds>(system_clock::now())), 10s);
}

}  // namespace
