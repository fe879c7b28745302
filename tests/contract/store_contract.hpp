#pragma once

#include "txm/admin.hpp"
#include "txm/consumer_store.hpp"
#include "txm/feed.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

/// What the relay, the consumer and the operator rely on in a store. Every store passes the same suites; what one cannot do
/// it declares, and the declaration is printed.
namespace txm::test {

/// An outbox and an inbox, empty for each test. Feeds, consumer stores and admins of it come and go, as processes do.
class Store {
public:
    virtual ~Store() = default;

    /// Commits the messages in one transaction, as an application does. Gives them as they are stored.
    virtual std::vector<StoredMessage> publish(std::vector<StoredMessage> messages) = 0;
    virtual std::optional<StoredMessage> message(const Uuid& message_id) = 0;

    /// A relay's end. Destroying it without release() is the end of its process.
    virtual std::unique_ptr<OutboxFeed> feed(std::chrono::milliseconds lease_term = std::chrono::seconds{10}) = 0;

    virtual std::unique_ptr<ConsumerStore> consumer_store(std::string consumer) = 0;
    /// Commits an effect with its inbox row. @throws what the commit throws
    virtual void process(const Incoming& incoming) = 0;
    /// All that the inbox decided was decided that much earlier.
    virtual void age_inbox(std::chrono::hours age) = 0;

    virtual std::unique_ptr<Admin> admin() = 0;
};

struct StoreKind {
    std::string name;
    std::function<std::unique_ptr<Store>()> make;

    bool has_one_active_relay = true;  ///< a second relay waits for the lease of the first
    bool purges_inbox = true;          ///< the consumer deletes old inbox rows itself

    friend std::ostream& operator<<(std::ostream& out, const StoreKind& kind) { return out << kind.name; }
};

/// The stores that this build has.
std::vector<StoreKind> store_kinds();

/// A message of a lane, with the given payload.
StoredMessage message_of(const std::string& aggregate_id, const std::string& payload,
                         const std::string& topic = "orders");

}  // namespace txm::test
