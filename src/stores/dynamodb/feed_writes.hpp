#pragma once

#include "stores/dynamodb/feed_elements.hpp"
#include "stores/dynamodb/fenced_writer.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace txm::dynamodb::detail {

/// What a feed writes, all of it under the fence. A row that somebody else deleted or marked meanwhile never keeps others from
/// being written.
/// *Thread safety*: any number of coroutines and threads.
class FeedWrites {
public:
    using Settled = std::pair<GivenMessage, Outcome>;
    /// A member of a lane, and its row.
    using SettledMember = std::pair<ParkedMember, FeedRow>;
    /// Told of each message as soon as it is written.
    using Written = std::function<void(const GivenMessage&)>;

    FeedWrites(DatabaseImpl& db, const FeedTables& tables, FencedWriter& writer, FeedLanes& lanes,
               FeedElements elements)
        : db_(db), tables_(tables), writer_(writer), lanes_(lanes), elements_(elements) {}

    boost::asio::awaitable<void> dispatched(std::vector<GivenMessage> messages, Written written);
    /// The same whatever their rows say: deleted, or given up by an operator while they were on their way, or the feed's again.
    /// They were acknowledged, and that is what the rows that are there say now.
    boost::asio::awaitable<void> dispatched_anyway(std::vector<GivenMessage> messages, Written written);
    boost::asio::awaitable<void> dead(Settled letter, Written written);
    /// Blocks the lane of a dead letter with it.
    boost::asio::awaitable<void> held(Settled letter, Written written);

    /// Blocks a lane, with its messages as members, the first of which has `change.attempts`.
    boost::asio::awaitable<void> park(AggregateId aggregate_id, LaneChange change, std::vector<GivenMessage> messages,
                                      Written written);
    /// Makes messages members of their blocked lanes. Gives those whose lane is not blocked.
    boost::asio::awaitable<std::vector<GivenMessage>> park_in_blocked(std::vector<GivenMessage> messages,
                                                                      Written written);
    boost::asio::awaitable<void> unpark(AggregateId aggregate_id);
    boost::asio::awaitable<void> mark_attempts(std::vector<Outcome> starting);

    boost::asio::awaitable<void> end_lanes(std::vector<DueLane> lanes);
    /// They are settled, and members no more; but for those that an operator sends again meanwhile.
    boost::asio::awaitable<void> forget(std::vector<SettledMember> members);

    /// Writes elements that have no conditions.
    boost::asio::awaitable<void> plain(std::vector<std::string> elements);

private:
    using Failed = std::function<void(std::size_t)>;

    boost::asio::awaitable<void> write_all(std::vector<Elements> groups, std::function<void(std::size_t)> written,
                                           Failed failed);

    DatabaseImpl& db_;
    const FeedTables& tables_;
    FencedWriter& writer_;
    FeedLanes& lanes_;
    const FeedElements elements_;
};

}  // namespace txm::dynamodb::detail
