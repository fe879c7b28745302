#pragma once

#include "txm/publisher.hpp"
#include "txm/subscription.hpp"

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

/// What the relay and the consumer rely on in a broker. Every broker passes the same suite; what one cannot do it
/// declares, and the declaration is printed.
namespace txm::test {

/// A place for topics, emptied for each test. Publishers and subscriptions of it come and go, as processes do.
class Broker {
public:
    virtual ~Broker() = default;

    virtual std::unique_ptr<Publisher> publisher() = 0;
    /// A member of a group. Destroying it is the end of its process: what it did not acknowledge comes again.
    virtual std::unique_ptr<Subscription> subscription(std::vector<std::string> topics, std::string group,
                                                       bool from_end) = 0;
};

struct BrokerKind {
    std::string name;
    std::function<std::unique_ptr<Broker>()> make;

    bool knows_duplicates = true;  ///< a message sent twice is delivered once
    bool has_groups = true;        ///< several groups each get everything
    bool has_from_end = true;      ///< a new group can start at the end
    bool shares_group = true;      ///< several members of a group share its lanes, in order
    bool keeps_order = true;       ///< an aggregate's messages come in the order in which they were published
    bool runs_ahead = true;        ///< what follows in a lane comes before its first delivery is acknowledged
    std::size_t many = 100'000;    ///< messages to be called many: a server that only plays the broker is slow

    friend std::ostream& operator<<(std::ostream& out, const BrokerKind& kind) { return out << kind.name; }
};

/// The brokers that this build has.
std::vector<BrokerKind> broker_kinds();

/// SNS and SQS, standard and FIFO, on each of the servers that play them.
std::vector<BrokerKind> aws_broker_kinds();

}  // namespace txm::test
