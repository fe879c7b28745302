#pragma once

#include "sqlite/connection.hpp"
#include "txm/message.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace txm::sqlite::detail {

/// Why a message that an operator gave up is a dead letter.
inline constexpr std::string_view skipped_reason = "skipped by an operator";

/// Writes to `txm_lane`, whose rows are the truth about which lanes of an outbox are blocked, and to the dead letters that
/// hold one. All of it inside the caller's transaction.
/// *Lifetime*: refers to the connection. *Thread safety*: the connection's.
class Lanes {
public:
    Lanes(Connection& connection, std::string_view outbox_table);

    /// Blocks a lane, or changes how. No `next_attempt`: held until an operator decides.
    void block(const AggregateId& aggregate_id, Sequence from, int attempts, std::optional<Timestamp> next_attempt,
               std::string_view reason);

    /// The lane is due now, held or not.
    void free(std::string_view aggregate_id);

    /// An operator sends a message of the lane again: blocks the lane behind it and makes it due, unless a dead letter
    /// still holds it.
    void put_back(std::string_view aggregate_id, Sequence sequence);

    /// An operator gave a message of the lane up: the lane is due, unless it is not blocked or a dead letter still holds it.
    void go_on(std::string_view aggregate_id);

    /// Makes lanes due whose next attempt was decided in what is the future now: the clock was set back, and nobody knows how
    /// long they would wait.
    void mend_times();

    /// The lane is live again, if none of its messages is parked any more.
    void end(std::string_view aggregate_id);

    void add_dead_letter(std::string_view message_id, std::string_view aggregate_id, std::string_view topic,
                         Sequence sequence, int attempts, bool held, std::string_view reason);
    void remove_dead_letter(std::string_view message_id);
    /// An operator gives a message up: its dead letter, made when there is none, says so and holds nothing.
    void skip(std::string_view message_id, std::string_view aggregate_id, std::string_view topic, Sequence sequence,
              int attempts);

private:
    Connection& connection_;
    std::string table_, source_;
};

}  // namespace txm::sqlite::detail
