#pragma once

#include "sqlite/connection.hpp"
#include "txm/subscription.hpp"

#include <string>
#include <string_view>

namespace txm::sqlite::detail {

/// One aggregate of one topic, as consumers see lanes.
struct ConsumerLane {
    std::string topic, aggregate_id;

    friend bool operator==(const ConsumerLane&, const ConsumerLane&) = default;
};

/// Writes to the tables that a consumer keeps beside its inbox: parked deliveries, their lanes, dead letters.
/// All of it inside the caller's transaction.
/// *Lifetime*: refers to the connection. *Thread safety*: the connection's.
class ParkedLanes {
public:
    ParkedLanes(Connection& connection, std::string_view inbox_table, std::string_view consumer);

    /// Keeps the delivery, or changes what is kept of it.
    void keep(const Delivery& delivery);
    /// @param replay_too else what an operator sent again since stays: whoever is late is done with what it knew
    void remove(std::string_view message_id, bool replay_too);

    /// After keep(): blocks the lane until `next_attempt`. A lane that is blocked already keeps its time, unless the delivery
    /// is its first one; a held one stays held.
    void block(const Delivery& delivery, Timestamp next_attempt, std::string_view reason);
    void hold(const ConsumerLane& lane, std::string_view reason);

    /// A message of the lane is done: the next one is due, or the lane is not blocked any more. Held lanes stay.
    void go_on(const ConsumerLane& lane);
    /// The same after an operator decided; frees a held lane, too, unless another dead letter holds it.
    void decided(const ConsumerLane& lane);

    void add_dead_letter(std::string_view message_id, const Delivery& delivery, std::string_view reason, bool held);
    void remove_dead_letter(std::string_view message_id);
    /// Moves a dead letter to the parked deliveries, to be tried again as a replay; its lane is decided() next.
    void replay_dead_letter(std::string_view message_id);
    /// A parked delivery is tried again as if for the first time.
    void replay_parked(std::string_view message_id);

private:
    bool is_first(const Delivery& delivery);
    bool has_parked(const ConsumerLane& lane);
    void set_due(const ConsumerLane& lane, bool held_too);

    Connection& connection_;
    std::string inbox_, consumer_, source_;
};

}  // namespace txm::sqlite::detail
