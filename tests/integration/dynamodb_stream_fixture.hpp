#pragma once

#include "integration/dynamodb_feed_fixture.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <thread>

namespace txm::test {

/// Its table is real, and its stream shows what a test says.
class DynamoDbStream : public DynamoDbFeed {
protected:
    DynamoDbStream() { streams_.add_shard("shard-1"); }

    std::string insert(const std::string& shard, const StoredMessage& message) {
        return streams_.insert(shard, row(message).value());
    }

    /// Of a feed that looks at once, and again and again, for what its stream does not show.
    dynamodb::FeedOptions sweeping_options() const {
        dynamodb::FeedOptions options = stream_options(streams_);
        options.sweep_age = std::chrono::milliseconds{0};
        options.sweep_interval = std::chrono::milliseconds{20};
        return options;
    }

    /// Waits until the reader has nothing more to read in a shard.
    void wait_until_read(const std::string& shard) {
        const std::size_t seen = streams_.empty_reads(shard);
        while (streams_.empty_reads(shard) < seen + 2)
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }

    FakeStreams streams_;
};

}  // namespace txm::test
