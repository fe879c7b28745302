#pragma once

#include "aws/client.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/feed_memory.hpp"
#include "stores/dynamodb/feed_rows.hpp"
#include "stores/dynamodb/stream_shard.hpp"
#include "txm/dynamodb_feed.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace txm::dynamodb::detail {

/// Reads the shards of a table's stream, parents before children, each from its stored position.
/// *Thread safety*: one coroutine at a time, but for the positions, which are asked for from any thread.
class StreamReader {
public:
    using Clock = std::chrono::steady_clock;
    using Hear = std::function<void(Candidate)>;

    StreamReader(DatabaseImpl& db, const FeedTables& tables, const FeedMemory& memory, const FeedOptions& options);

    /// The table's stream, if it has one. @throws Error(invalid_configuration) when the table has replicas that nobody named a
    /// home for
    boost::asio::awaitable<std::optional<std::string>> stream_of_table();
    /// Looks whether the table has a stream, and where reading it goes on.
    boost::asio::awaitable<bool> open();
    void close();
    bool is_open() const noexcept { return !arn_.empty(); }
    /// Another stream of the table was read before, and nothing of this one: what the end of that one held, and what came when
    /// there was none, is in the table only.
    bool is_renewed() const noexcept { return is_renewed_; }

    /// Reads what is there. Tells of each message that may have to be sent. True when something may have been lost, now or by a
    /// call that failed, so that the table must be looked at.
    boost::asio::awaitable<bool> read(Hear hear);
    /// There was more to read when it was last looked at, and that was not only what was just written.
    bool is_behind() const;
    /// When there is something to read again.
    Clock::time_point next_read() const;

    /// Elements of a transaction that record how far the stream is done with, as far as that has changed; at most `most`.
    std::vector<std::string> take_positions(std::size_t most);
    void positions_failed();

private:
    using Shards = std::map<std::string, StreamShard, std::less<>>;

    boost::asio::awaitable<boost::json::object> call(std::string action, std::string body);
    boost::asio::awaitable<void> load_positions();
    boost::asio::awaitable<void> discover();
    boost::asio::awaitable<void> read_shard(StreamShard& shard, std::size_t limit, const Hear& hear);
    boost::asio::awaitable<bool> take_iterator(StreamShard& shard);
    void take_record(StreamShard& shard, const boost::json::object& record, const Hear& hear);
    bool may_read(const StreamShard& shard) const;

    DatabaseImpl& db_;
    const FeedTables& tables_;
    const FeedMemory& memory_;
    const std::chrono::milliseconds poll_interval_;
    aws::Client client_;

    std::string arn_;
    bool is_renewed_ = false;
    std::atomic<bool> is_lossy_{false};  // until read() has said so; shards are read beside each other
    Clock::time_point discover_at_{};
    mutable std::mutex mutex_;  // for the shards' positions
    Shards shards_;
    std::vector<std::string> obsolete_;  // ranges of positions of shards that are no more
};

}  // namespace txm::dynamodb::detail
