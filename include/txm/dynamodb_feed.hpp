#pragma once

#include "txm/admin.hpp"
#include "txm/consumer_store.hpp"
#include "txm/dynamodb.hpp"
#include "txm/feed.hpp"
#include "txm/publisher.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace txm::dynamodb {

/// How a relay learns of new messages.
enum class FeedKind {
    automatic,  ///< tail when the table has a stream, else poll
    tail,       ///< DynamoDB Streams, and a sweep of the index of undispatched messages for what a stream did not show
    poll,       ///< the index of undispatched messages
};

class FeedOptions {
public:
    FeedOptions() = default;

    std::string table = "outbox";
    std::string state_table{};  ///< txm's own; empty: `<table>-txm`
    FeedKind kind = FeedKind::automatic;
    bool compat = false;                           ///< see OutboxOptions
    std::chrono::milliseconds poll_interval{250};  ///< of the stream's shards, or of the index
    std::chrono::milliseconds sweep_interval{60'000};
    std::chrono::milliseconds sweep_age{30'000};   ///< the sweep leaves younger messages to the stream
    std::chrono::milliseconds lease_term{10'000};  ///< a frozen owner is replaced after it
    /// Dispatched rows get the attribute ExpiresAt for the table's time to live; 0: deleted on settlement; none: kept.
    std::optional<std::chrono::seconds> retention{7 * 86'400};
    std::size_t max_payload = std::size_t{1} << 20;  ///< a larger one, which another program wrote, is a dead letter
    std::string streams_endpoint{};                  ///< empty: the client's endpoint, or what stands for that one
};

/// What a relay reads from a DynamoDB outbox, see txm::OutboxFeed. One relay is active at a time; others wait for its lease.
/// A message is given only when its predecessor in the aggregate's chain is settled or was given before it, whatever shard
/// or sweep showed it first; those without a number are given as they are seen.
class OutboxFeed final : public txm::OutboxFeed {
public:
    /// No I/O. *Lifetime*: `db` must outlive it.
    explicit OutboxFeed(Database& db, FeedOptions options = {});
    ~OutboxFeed() override;

    awaitable<Fence> acquire() override;
    awaitable<void> release() override;
    awaitable<std::vector<StoredMessage>> read(std::size_t max, std::size_t max_bytes) override;
    awaitable<void> settle(std::span<const Outcome> outcomes) override;
    awaitable<void> park(AggregateId aggregate_id, Sequence from, int attempts, Timestamp next_attempt,
                         std::string reason) override;
    awaitable<void> unpark(AggregateId aggregate_id) override;
    awaitable<void> mark_attempts(std::span<const Outcome> starting) override;
    bool may_send() const noexcept override;
    awaitable<bool> drained() override;
    void interrupt() override;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

/// One step of a relay that is driven by events instead of reading a stream itself, as under AWS Lambda.
/// *Thread safety*: one coroutine at a time.
class StreamStep {
public:
    /// *Lifetime*: both must outlive it.
    StreamStep(Database& db, Publisher& publisher, FeedOptions options = {});
    ~StreamStep();

    /// Publishes the new messages of a DynamoDB Streams event (JSON, as Lambda gets it), each behind its predecessors, and
    /// marks them. @return the answer for Lambda: `{"batchItemFailures":[{"itemIdentifier":"…"}]}`
    /// @throws Error(invalid_message) for what is no such event; Error when the store or the broker is away
    awaitable<std::string> run(std::string event);

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

/// What a consumer keeps beside its inbox in DynamoDB, see txm::ConsumerStore: in the outbox's `<outbox>-txm`.
class ConsumerStore final : public txm::ConsumerStore {
public:
    /// @param retention of the inbox, whose rows the table's time to live deletes; none: kept for ever
    ConsumerStore(Database& db, std::string consumer, std::string inbox_table = "inbox",
                  std::string state_table = "outbox-txm", std::optional<std::chrono::seconds> retention = {});
    ~ConsumerStore() override;

    awaitable<std::vector<bool>> is_parked(std::span<const Delivery> deliveries) override;
    awaitable<void> park(std::span<const Delivery> deliveries, Timestamp next_attempt, std::string reason) override;
    awaitable<std::vector<Delivery>> take_parked(std::size_t max) override;
    awaitable<void> unpark(const Delivery& delivery) override;
    awaitable<int> begin_attempt(const Delivery& delivery, bool is_alone) override;
    awaitable<void> end_attempt(const Delivery& delivery) override;
    awaitable<void> dead_letter(const Incoming& incoming, const Delivery& delivery, std::string why,
                                bool hold) override;
    awaitable<Timestamp> purged_to() override;
    awaitable<std::size_t> purge_inbox(std::chrono::seconds retention, std::size_t limit) override;
    awaitable<bool> lease(std::string what) override;
    awaitable<void> release() override;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

/// What an operator does with a DynamoDB store, see txm::Admin. Lists scan the outbox and keep the keys of what they
/// select in memory, to give it in order. *Lifetime*: `db` must outlive it.
std::unique_ptr<txm::Admin> open_admin(Database& db, std::string outbox_table = "outbox",
                                       std::string inbox_table = "inbox", std::string state_table = {});

}  // namespace txm::dynamodb
