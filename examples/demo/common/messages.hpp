#pragma once

#include <txm/message.hpp>
#include <txm/topics.hpp>

#include <cstdint>
#include <string>
#include <string_view>

/// What the two services tell each other. Everything about a customer is one aggregate: its messages keep their order,
/// so that which orders fit the credit limit does not depend on timing.
namespace demo {

struct OrderCreated {
    txm::Uuid message_id = txm::new_uuid();
    txm::Uuid correlation_id{};  // nil: the message_id
    txm::Timestamp created_at = txm::now();
    std::int64_t order_id = 0;
    std::string customer{};
    std::int64_t cents = 0;

    const std::string& aggregate_id() const { return customer; }
    std::string serialize() const;
    static OrderCreated deserialize(std::string_view payload);
};

struct CreditReserved {
    txm::Uuid message_id = txm::new_uuid();
    txm::Uuid correlation_id{};
    txm::Timestamp created_at = txm::now();
    std::int64_t order_id = 0;
    std::string customer{};

    const std::string& aggregate_id() const { return customer; }
    std::string serialize() const;
    static CreditReserved deserialize(std::string_view payload);
};

struct CreditRejected {
    txm::Uuid message_id = txm::new_uuid();
    txm::Uuid correlation_id{};
    txm::Timestamp created_at = txm::now();
    std::int64_t order_id = 0;
    std::string customer{};

    const std::string& aggregate_id() const { return customer; }
    std::string serialize() const;
    static CreditRejected deserialize(std::string_view payload);
};

/// Both answers share a topic: order is kept per aggregate and topic.
const txm::TopicMap& topics();

}  // namespace demo
