#pragma once

#include "txm/admin.hpp"
#include "txm/consumer_store.hpp"
#include "txm/feed.hpp"
#include "txm/sqlite.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace txm::sqlite {

class FeedOptions {
public:
    FeedOptions() = default;

    std::string table = "outbox";
    std::chrono::milliseconds poll_interval{250};  ///< looks for messages at least that often, whatever wakes it
    std::chrono::milliseconds lease_term{10'000};  ///< a frozen owner is replaced after it
    std::optional<std::chrono::seconds> retention{
        7 * 86'400};  ///< dispatched rows older are deleted; 0: on settlement; none: kept
    std::size_t max_payload = std::size_t{1} << 20;  ///< a larger one, which another program inserted, is a dead letter
};

/// What a relay reads from an SQLite outbox, see txm::OutboxFeed. One relay is active at a time; others wait for its lease.
class OutboxFeed final : public txm::OutboxFeed {
public:
    /// *Lifetime*: `db` must outlive it.
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
    std::shared_ptr<Impl> impl_;  // jobs of the store hold on to it
};

/// What a consumer keeps beside its inbox in an SQLite file, see txm::ConsumerStore.
class ConsumerStore final : public txm::ConsumerStore {
public:
    /// *Lifetime*: `db` must outlive it.
    ConsumerStore(Database& db, std::string consumer, std::string inbox_table = "inbox");
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

/// What an operator does with an SQLite store, see txm::Admin. Its functions throw Error(schema_missing) when
/// `txm migrate` has not run. *Lifetime*: `db` must outlive it.
std::unique_ptr<txm::Admin> open_admin(Database& db, std::string outbox_table = "outbox",
                                       std::string inbox_table = "inbox");

/// SQL statements with named parameters, run in the inbox's own transaction (`txm consume --sql`).
class Script {
public:
    /// Splits `text` with SQLite's own parser and checks every statement against the database.
    /// @throws Error(invalid_configuration): empty, a syntax error, an unknown parameter, a transaction statement
    Script(Database& db, const std::string& text);

    /// Stages all statements, with `:message_id :aggregate_id :correlation_id :topic :type :payload :headers :created_at
    /// :stored_at :sequence :consumer` bound as text.
    void add_to(Session& session, const StoredMessage& message, const std::string& consumer) const;

private:
    struct Part {
        std::string sql;
        std::vector<std::string> parameters;
    };
    std::vector<Part> parts_;
};

}  // namespace txm::sqlite
