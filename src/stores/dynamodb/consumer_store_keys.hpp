#pragma once

#include "txm/item.hpp"
#include "txm/subscription.hpp"

#include <string>
#include <string_view>

namespace txm::dynamodb::detail {

/// One aggregate of one topic, as consumers see lanes.
struct ConsumerLane {
    std::string topic, aggregate_id;

    friend auto operator<=>(const ConsumerLane&, const ConsumerLane&) = default;
};

ConsumerLane lane_of(const StoredMessage& message);

/// Where one consumer of one inbox keeps what, in the table `<outbox>-txm`. Names are escaped, so that no two of them can
/// give one key, whatever characters they have; only the last part of a key is written as it is.
class ConsumerKeys {
public:
    ConsumerKeys(std::string_view consumer, std::string_view inbox_table);

    /// All lanes are one partition, so that what is blocked can be counted and listed.
    Item lane(const ConsumerLane& lane) const;
    std::string lanes() const { return base_ + "LANE"; }

    /// The lanes that wait for a time, by that time.
    Item due(const ConsumerLane& lane, Timestamp at) const;
    std::string due_lanes() const { return base_ + "DUE"; }
    /// Sorts behind every lane that is due at `at`, and before every later one.
    static std::string due_until(Timestamp at);

    /// The places of a lane's parked deliveries, in their order.
    Item member(const ConsumerLane& lane, const std::string& place) const;
    std::string members(const ConsumerLane& lane) const;
    /// By sequence, else by position.
    static std::string place(const Delivery& delivery);

    /// A parked delivery, whole.
    Item parked(std::string_view message_id) const;
    Item attempts(std::string_view message_id) const;

    Item dead(std::string_view message_id) const;
    std::string dead_letters() const { return base_ + "DEAD"; }
    /// Where the parts of a dead letter are, so that dead letters are listed without them.
    Item dead_parts(std::string_view message_id) const;

    Item lease(std::string_view what) const;
    std::string leases() const { return base_ + "LEASE"; }

    /// The row that says that this consumer keeps something here at all.
    Item registered() const;
    static std::string consumers(std::string_view inbox_table);

private:
    std::string consumer_, inbox_, base_;
};

}  // namespace txm::dynamodb::detail
