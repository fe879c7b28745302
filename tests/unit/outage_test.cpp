#include "cli/outage.hpp"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <string>

namespace txm::cli {
namespace {

using namespace std::chrono_literals;

class OutageTest : public testing::Test {
protected:
    boost::asio::io_context context;
    std::string given_up;
    Outage outage{context.get_executor(), 10ms, [this](const std::string& why) { given_up = why; }};
};

TEST_F(OutageTest, IsGivenUpAfterItsTime) {
    outage.failed("nobody answers");
    EXPECT_TRUE(outage.is_down());
    context.run();
    EXPECT_NE(given_up.find("nobody answers"), std::string::npos) << given_up;
}

TEST_F(OutageTest, IsNotGivenUpWhenItIsOver) {
    outage.failed("nobody answers");
    outage.recovered();
    EXPECT_FALSE(outage.is_down());
    context.run();
    EXPECT_EQ(given_up, "");
}

TEST_F(OutageTest, IsNotGivenUpAfterTheEnd) {
    outage.failed("nobody answers");
    outage.end();
    context.run();
    EXPECT_EQ(given_up, "");
}

// What a relay leaves behind fails when the relay has ended.
TEST_F(OutageTest, IsNoConcernAfterTheEnd) {
    outage.end();
    outage.failed("nobody answers");
    context.run();
    EXPECT_EQ(given_up, "");
}

}  // namespace
}  // namespace txm::cli
