#pragma once

#include "stores/dynamodb/consumer_store_keys.hpp"
#include "stores/dynamodb/moved.hpp"
#include "txm/dynamodb.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace txm::dynamodb::detail {

/// What is known of a blocked lane: one item, whose version every change of the lane is conditional on.
struct LaneRow {
    std::int64_t version = 0;  ///< 0: there is none, the lane is not blocked
    std::int64_t parked = 0;
    std::string head{};  ///< the place of its first delivery
    Timestamp next_attempt{};
    std::set<std::string> held_by{};  ///< the dead letters that an operator has to decide about
    std::string reason{};

    bool is_held() const noexcept { return !held_by.empty(); }
    /// It is in the index of lanes that wait for a time.
    bool waits() const noexcept { return parked > 0 && !is_held(); }

    friend bool operator==(const LaneRow&, const LaneRow&) = default;
};

LaneRow lane_row_of(const Item& item);

/// A parked delivery.
struct Kept {
    ConsumerLane lane{};
    std::string place{};
    Item item{};
    int attempts = 0;
    bool replay = false;
    bool is_changed = false;  ///< to be written

    void set(int tries, bool is_replay, int replays);
};

/// One transaction on some lanes of a consumer: load() what it is about, change it, stage() the writes. The writes are
/// conditional on what was loaded; their commit throws Moved when it is not there any more.
/// *Lifetime*: refers to all it is given. *Thread safety*: one coroutine.
class ConsumerLanes {
public:
    ConsumerLanes(Database& db, const std::string& table, const ConsumerKeys& keys)
        : db_(db), table_(table), keys_(keys) {}

    /// Once. @param lanes beside those of what is kept of the messages
    awaitable<void> load(std::vector<ConsumerLane> lanes, std::vector<std::string> message_ids);

    const Kept* kept(const std::string& message_id) const;

    /// Keeps the delivery, or changes what is kept of it; then blocks its lane until `next_attempt`. A lane that is blocked
    /// already keeps its time, unless the delivery is its first one and was tried; a held one stays held.
    void park(const Delivery& delivery, Timestamp next_attempt, const std::string& reason);

    /// The delivery is kept no longer. Its lane is to go_on(), or to be held or decided.
    awaitable<void> remove(std::string message_id);

    void hold(const ConsumerLane& lane, const std::string& message_id, const std::string& reason);
    /// A message of the lane is done: the next one is due, or the lane is not blocked any more. Held lanes stay.
    void go_on(const ConsumerLane& lane);
    /// The same after an operator decided about a message, which holds the lane no longer.
    void decided(const ConsumerLane& lane, const std::string& message_id);

    /// An operator sends it again: it is tried as if for the first time. Its lane is to be decided().
    void begin_anew(const std::string& message_id);
    /// The same with a dead letter, which becomes a parked delivery.
    void begin_anew(const Delivery& dead_letter);

    void stage(Session& session);

    /// How many items park() and stage() write at most, besides the parts of a delivery.
    static constexpr std::size_t writes_of_delivery = 2, writes_of_lane = 3;

private:
    struct Row {
        LaneRow before{}, after{};
        bool is_changed = false;
    };
    awaitable<void> load_rows(std::vector<ConsumerLane> lanes);
    awaitable<void> load_kept(const std::vector<std::string>& message_ids);
    Row& row(const ConsumerLane& lane) { return rows_.at(lane); }
    Kept& keep(const Delivery& delivery);
    void stage_lane(Session& session, const ConsumerLane& lane, Row& row) const;

    Database& db_;
    const std::string& table_;
    const ConsumerKeys& keys_;
    std::map<ConsumerLane, Row> rows_;
    std::map<std::string, Kept, std::less<>> kept_;
    std::vector<Write> writes_;
};

}  // namespace txm::dynamodb::detail
