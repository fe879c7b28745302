#pragma once

#include "txm/admin.hpp"
#include "txm/consumer_store.hpp"
#include "txm/feed.hpp"
#include "txm/publisher.hpp"
#include "txm/unit_of_work.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace txm::cli {

/// A relay that is driven by events instead of reading a feed. *Thread safety*: one coroutine at a time.
class Step {
public:
    virtual ~Step() = default;
    /// Publishes the messages of an event and marks them. @return the answer for whoever sent the event
    virtual awaitable<std::string> run(std::string event) = 0;
};

/// A database as the commands see it. A new kind of store derives from it and adds one line to the registry.
/// *Lifetime*: must outlive what it gives. *Thread safety*: any number of coroutines.
class Store {
public:
    struct FeedSettings {
        std::string how;     ///< a way of `relay --feed`, empty for the store's best
        std::string origin;  ///< where that stands
        std::optional<std::chrono::seconds> retention;
        std::size_t max_payload;
    };

    /// What one transaction may hold.
    struct Limits {
        std::size_t messages = std::numeric_limits<std::size_t>::max();
        std::size_t bytes = std::numeric_limits<std::size_t>::max();  ///< of payloads, headers and names
    };

    /// Who consumes, and how long its inbox remembers; none: for ever.
    struct ConsumerSettings {
        std::string name;
        std::optional<std::chrono::seconds> inbox_retention;
    };

    /// Stages what `txm consume --sql` does for a message, in a unit of work of this store.
    using Effect = std::function<void(UnitOfWork& uow, const StoredMessage& message)>;

    virtual ~Store() = default;

    /// Creates or upgrades what is missing.
    virtual awaitable<void> migrate() = 0;

    /// What is to be said of the store as it was found by migrate(), one line each.
    virtual std::vector<std::string> notes() const { return {}; }

    virtual Limits limits() const { return {}; }

    /// Publishes all of them in one transaction.
    virtual awaitable<void> publish(std::vector<StoredMessage> batch, std::size_t max_payload) = 0;

    /// @throws UsageError for a way that it does not have
    virtual std::unique_ptr<OutboxFeed> feed(const FeedSettings& settings) = 0;

    /// @throws UsageError where no events come from such a store. *Lifetime*: `publisher` must outlive it.
    virtual std::unique_ptr<Step> step(Publisher& publisher, const FeedSettings& settings) = 0;

    virtual std::unique_ptr<ConsumerStore> consumer_store(const ConsumerSettings& settings) = 0;

    virtual std::unique_ptr<UnitOfWork> unit_of_work(const Incoming& incoming, const ConsumerSettings& settings) = 0;

    /// @throws Error(invalid_configuration) for statements that it cannot run
    virtual Effect effect_of_sql(const std::string& statements, const std::string& consumer) = 0;

    virtual std::unique_ptr<Admin> admin() = 0;
};

}  // namespace txm::cli
