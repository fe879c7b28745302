#include "stores/dynamodb/together.hpp"

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <utility>
#include <vector>

namespace txm::test {
namespace {

std::atomic<int> inside = 0, meetings = 0;

boost::asio::awaitable<void> work() {
    for (int i = 0; i < 2'000; ++i) {
        ++inside;
        for (int look = 0; look < 100; ++look)
            meetings += inside > 1 ? 1 : 0;
        --inside;
        co_await boost::asio::post(boost::asio::use_awaitable);
    }
}

boost::asio::awaitable<void> work_together() {
    std::vector<boost::asio::awaitable<void>> operations;
    for (int i = 0; i < 4; ++i)
        operations.push_back(work());
    co_await dynamodb::detail::together(std::move(operations));
}

TEST(DynamoDbTogether, operations_never_run_at_one_moment_however_many_threads_there_are) {
    boost::asio::thread_pool threads(4);
    boost::asio::co_spawn(threads, work_together(), boost::asio::use_future).get();
    EXPECT_EQ(meetings, 0);
}

}  // namespace
}  // namespace txm::test
