#include "relay/lanes.hpp"

#include "core/fault_point.hpp"
#include "txm/error.hpp"
#include "txm/outbox_writer.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace txm::relay {

namespace {

using namespace std::chrono_literals;

// Sends without an answer after which a message is sent with nothing beside it.
constexpr int lost_until_alone = 3;
constexpr std::size_t destinations_remembered = 256;
// One kill says nothing of a single message, and the next may still be chance.
constexpr int kills_until_blamed = 3;

int attempts_until_blamed(const RelayOptions& options) {
    return std::max(options.max_attempts, kills_until_blamed);
}

std::string seconds_text(Backoff::Duration duration) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f s", std::chrono::duration<double>(duration).count());
    return text;
}

std::string named(const Destination& destination) {
    return destination.name.empty() ? "the broker" : "destination " + destination.name;
}

std::string described(const StoredMessage& message) {
    return "message " + message.message_id.to_string() + " (sequence " + std::to_string(message.sequence) +
           ") of aggregate " + message.aggregate_id.str();
}

// Why no broker can be given the message; empty when there is nothing wrong with it. Rows may come from any writer.
std::string defect(const StoredMessage& message, std::size_t max_payload) {
    if (message.state == MessageState::dead)
        return message.payload;
    try {
        validate(message, max_payload);
        return {};
    } catch (const Error& e) {
        return e.what();
    }
}

}  // namespace

Lanes::Lanes(const RelayOptions& options, bool gapless, DestinationOf destination_of)
    : options_(options),
      gapless_(gapless),
      destination_name_(std::move(destination_of)),
      backoff_(options.backoff, options.max_backoff),
      outage_backoff_(50ms, 5000ms) {}

Lanes::~Lanes() = default;

Lane* Lanes::find(const AggregateId& aggregate_id) {
    const auto found = lanes_.find(aggregate_id.str());
    return found == lanes_.end() ? nullptr : found->second.get();
}

Lane& Lanes::lane_of(const AggregateId& aggregate_id) {
    if (Lane* const known = find(aggregate_id))
        return *known;
    auto made = std::make_unique<Lane>();
    made->aggregate_id = aggregate_id;
    Lane& lane = *made;
    lanes_.emplace(lane.aggregate_id.str(), std::move(made));
    return lane;
}

void Lanes::erase(Lane& lane) {
    // Found before it is erased: the key is a view of what the lane holds.
    lanes_.erase(lanes_.find(lane.aggregate_id.str()));
}

void Lanes::append(Lane& lane, Item item) {
    lane.bytes += item.message.payload.size();
    bytes_ += item.message.payload.size();
    ++size_;
    if (spare_.empty()) {
        lane.queue.push_back(std::move(item));
    } else {
        spare_.front() = std::move(item);
        lane.queue.splice(lane.queue.end(), spare_, spare_.begin());
    }
}

void Lanes::put_back(Lane& lane, StoredMessage message, const Batch::Slot& slot, int lost, std::uint64_t lost_at) {
    lane.bytes += message.payload.size();
    Item item{std::move(message), slot.lost + lost, lost_at ? lost_at : slot.lost_at, false};
    if (spare_.empty()) {
        lane.queue.push_front(std::move(item));
    } else {
        spare_.front() = std::move(item);
        lane.queue.splice(lane.queue.begin(), spare_, spare_.begin());
    }
}

// The message stays counted in size_ and bytes_ until it is finished.
StoredMessage Lanes::take_first(Lane& lane) {
    StoredMessage message = std::move(lane.queue.front().message);
    lane.bytes -= message.payload.size();
    spare_.splice(spare_.end(), lane.queue, lane.queue.begin());
    return message;
}

void Lanes::push(StoredMessage message, bool suspect, TimePoint now, Decisions& decisions) {
    Lane& lane = lane_of(message.aggregate_id);
    const bool is_new = lane.queue.empty() && lane.in_flight == 0 && lane.state == LaneState::ready;
    // It was read before its lane's blocking was recorded, which gives it back.
    if (lane.state == LaneState::leaving)
        return;
    // A message that was parked may be what cuts connections: one shared loss is enough to send it alone.
    const int lost = message.state == MessageState::parked && message.attempts > 0 ? lost_until_alone - 1 : 0;
    if (lane.state == LaneState::backing_off) {
        ++blocked_messages_;
        blocked_bytes_ += message.payload.size();
    }
    append(lane, Item{std::move(message), lost, 0, suspect});
    if (is_new)
        make_ready(lane, decisions);
    else if (lane.state == LaneState::backing_off && too_much_is_blocked())
        park(lane, std::max(lane.timer->first - now, Backoff::Duration{}), lane.reason, decisions);
}

void Lanes::advance(Lane& lane, Decisions& decisions) {
    if (!lane.queue.empty())
        make_ready(lane, decisions);
    else if (lane.in_flight == 0)
        erase(lane);
}

void Lanes::make_ready(Lane& lane, Decisions& decisions) {
    lane.unlist();
    lane.state = LaneState::ready;
    const Item& first = lane.queue.front();
    if (std::string why = defect(first.message, options_.max_payload); !why.empty()) {
        give_up(lane, std::move(why), decisions);
    } else if (first.suspect && first.message.attempts >= attempts_until_blamed(options_)) {
        give_up(lane, "the relay was killed " + std::to_string(first.message.attempts) + " times while sending it",
                decisions);
    } else {
        Destination& destination = destination_of(first.message);
        // While nothing arrives there it would only keep the others waiting.
        if (first.suspect && first.message.attempts > 0 && !destination.is_down)
            suspects_.push_back(lane);
        else
            (first.lost >= lost_until_alone ? destination.alone : destination.ready).push_back(lane);
    }
}

bool Lanes::too_much_is_blocked() const noexcept {
    return blocked_messages_ > options_.max_in_flight / 4 || blocked_bytes_ > options_.max_bytes_in_flight / 4;
}

void Lanes::back_off(Lane& lane, std::string reason, TimePoint now, Decisions& decisions) {
    const StoredMessage& first = lane.queue.front().message;
    const auto delay = backoff_.after(first.attempts);
    if (!lane.blocked_since)
        lane.blocked_since = now;
    const bool is_long = now + delay - *lane.blocked_since > options_.park_after;
    blocked_messages_ += lane.queue.size();
    blocked_bytes_ += lane.bytes;
    lane.state = LaneState::backing_off;
    lane.timer = timers_.emplace(now + delay, &lane);
    lane.reason = std::move(reason);
    if (is_long || first.state == MessageState::parked || too_much_is_blocked())
        park(lane, delay, lane.reason, decisions);
}

// Ends its backing off.
void Lanes::wake(Lane& lane) {
    blocked_messages_ -= lane.queue.size();
    blocked_bytes_ -= lane.bytes;
    timers_.erase(lane.timer);
    lane.state = LaneState::ready;
}

void Lanes::park(Lane& lane, Backoff::Duration delay, std::string reason, Decisions& decisions) {
    const StoredMessage& first = lane.queue.front().message;
    if (first.state != MessageState::parked)
        decisions.events.push_back("blocked at " + described(first) + " after " + std::to_string(first.attempts) +
                                   " attempts: " + reason + "; next attempt in " + seconds_text(delay));
    decisions.parks.push_back(ParkRequest{lane.aggregate_id, first.sequence, first.attempts,
                                          txm::now() + std::chrono::ceil<std::chrono::microseconds>(delay),
                                          std::move(reason)});
    leave(lane);
}

void Lanes::give_up(Lane& lane, std::string reason, Decisions& decisions) {
    const bool hold = options_.policy == DeadLetterPolicy::hold;
    StoredMessage dead = take_first(lane);
    decisions.events.push_back(
        "dead letter: " + described(dead) + " after " + std::to_string(dead.attempts) + " attempts: " + reason +
        (hold ? "; its aggregate waits for `txm messages replay` or `skip`" : "; its aggregate goes on without it"));
    bytes_ -= dead.payload.size();
    --size_;
    decisions.outcomes.push_back(Outcome{dead.message_id, std::move(dead.aggregate_id), dead.sequence,
                                         hold ? Settlement::held : Settlement::dead, dead.attempts, std::move(reason)});
    if (hold) {
        leave(lane);
    } else {
        lane.unlist();
        lane.state = LaneState::deciding;
        lane.blocked_since.reset();
        ++size_;
    }
}

// Its messages are the feed's again once the store has recorded it. Until then the lane counts as one message.
void Lanes::leave(Lane& lane) {
    if (lane.state == LaneState::backing_off)
        wake(lane);
    lane.unlist();
    lane.state = LaneState::leaving;
    lane.blocked_since.reset();
    size_ -= lane.queue.size();
    bytes_ -= lane.bytes;
    lane.bytes = 0;
    lane.queue.clear();
    ++size_;
}

// The store has recorded what the lane waited for.
void Lanes::end_wait(Lane& lane, Decisions& decisions) {
    --size_;
    lane.state = LaneState::ready;
    advance(lane, decisions);
}

void Lanes::settled(const Outcome& outcome, Decisions& decisions) {
    Lane* const lane = find(outcome.aggregate_id);
    if (lane && (lane->state == LaneState::deciding || lane->state == LaneState::leaving))
        end_wait(*lane, decisions);
}

void Lanes::parked(const AggregateId& aggregate_id, Decisions& decisions) {
    Lane* const lane = find(aggregate_id);
    if (lane && lane->state == LaneState::leaving)
        end_wait(*lane, decisions);
}

void Lanes::tick(TimePoint now, Decisions& decisions) {
    while (!timers_.empty() && timers_.begin()->first <= now) {
        Lane& lane = *timers_.begin()->second;
        wake(lane);
        make_ready(lane, decisions);
    }
    for (auto entry = destinations_.begin(); entry != destinations_.end();) {
        Destination& destination = *entry->second;
        if (destination.is_down && now - destination.down_since >= options_.park_after) {
            const bool make_room = others_flow(destination) || may_hide_others(destination, now);
            park_all_but_one(destination, make_room, now, decisions);
        }
        const bool is_idle = !destination.is_down && !destination.has_lanes() && destination.batches_in_flight == 0;
        entry =
            is_idle && destinations_.size() > destinations_remembered ? destinations_.erase(entry) : std::next(entry);
    }
}

TimePoint Lanes::next_deadline(bool may_take) const {
    TimePoint deadline = timers_.empty() ? TimePoint::max() : timers_.begin()->first;
    if (!may_take || !suspects_.empty() || suspect_in_flight_)
        return deadline;
    for (const auto& [name, destination] : destinations_) {
        if (destination->is_down && destination->has_lanes() && destination->batches_in_flight == 0)
            deadline = std::min(deadline, destination->retry_at);
    }
    return deadline;
}

void Lanes::clear() {
    suspects_.clear();
    timers_.clear();
    destinations_.clear();
    lanes_.clear();
    spare_.clear();
    size_ = bytes_ = blocked_messages_ = blocked_bytes_ = batches_in_flight_ = 0;
    suspect_in_flight_ = false;
}

Destination& Lanes::destination_of(const StoredMessage& message) {
    const std::string name = destination_name_(message);
    auto found = destinations_.find(name);
    if (found == destinations_.end()) {
        auto made = std::make_unique<Destination>();
        made->name = name;
        found = destinations_.emplace(name, std::move(made)).first;
    }
    return *found->second;
}

bool Lanes::others_flow(const Destination& destination) const noexcept {
    return std::any_of(destinations_.begin(), destinations_.end(), [&](const auto& entry) {
        const Destination& other = *entry.second;
        return !other.is_down && other.acknowledged_at != 0 && other.flowed_at >= destination.down_since;
    });
}

// With the memory full of its messages, those of others are not even read. Where there may be others it is worth a look,
// now and then.
bool Lanes::may_hide_others(Destination& destination, TimePoint now) const {
    if (destination.name.empty() || size_ < options_.max_in_flight / 2 || now < destination.explore_at)
        return false;
    destination.explore_at = now + std::clamp<Backoff::Duration>((now - destination.down_since) / 2, 10ms, 5s);
    return true;
}

// One stays, to find out when the destination is back. Unless there must be room for others, what was not parked before may
// wait in memory.
void Lanes::park_all_but_one(Destination& destination, bool make_room, TimePoint now, Decisions& decisions) {
    const Lane* const probe = destination.batches_in_flight > 0 ? nullptr
                              : !destination.ready.empty()      ? &destination.ready.front()
                              : !destination.alone.empty()      ? &destination.alone.front()
                                                                : nullptr;
    const auto delay = std::clamp<Backoff::Duration>(2 * (now - destination.down_since), 1s,
                                                     std::max<Backoff::Duration>(options_.max_backoff, 1s));
    std::size_t count = 0;
    for (LaneList* list : {&destination.ready, &destination.alone}) {
        for (auto at = list->begin(); at != list->end();) {
            Lane& lane = *at++;
            const Item& first = lane.queue.front();
            if (&lane == probe || (!make_room && first.message.state != MessageState::parked))
                continue;
            count += first.message.state != MessageState::parked;
            decisions.parks.push_back(ParkRequest{lane.aggregate_id, first.message.sequence, first.message.attempts,
                                                  txm::now() + std::chrono::ceil<std::chrono::microseconds>(delay),
                                                  named(destination) + " is unreachable: " + destination.why});
            leave(lane);
        }
    }
    if (count > 0)
        decisions.events.push_back(named(destination) + " is still unreachable: " + std::to_string(count) +
                                   " aggregates wait for it in the store, the others go on");
}

bool Lanes::can_send(const Destination& destination, TimePoint now) const noexcept {
    if (!destination.has_lanes() || destination.alone_in_flight)
        return false;
    if (destination.is_down)
        return destination.batches_in_flight == 0 && now >= destination.retry_at;
    // Its turn: wait until it can be alone.
    const bool alone = !destination.alone.empty() && (destination.alone_is_next || destination.ready.empty());
    return !alone || destination.batches_in_flight == 0;
}

Batch Lanes::take(TimePoint now, Decisions& decisions) {
    Batch batch;
    if (!suspects_.empty() || suspect_in_flight_) {
        if (batches_in_flight_ > 0)
            return batch;
        take_suspects(batch);
    } else {
        // Destinations take turns, from the one after the last that was served.
        auto next = destinations_.upper_bound(last_served_);
        for (std::size_t i = 0; i < destinations_.size() && batch.empty(); ++i, ++next) {
            if (next == destinations_.end())
                next = destinations_.begin();
            if (!can_send(*next->second, now))
                continue;
            fill(batch, *next->second, now, decisions);
            last_served_ = next->first;
        }
    }
    if (!batch.empty()) {
        batch.sent_at = ++tick_;
        ++batch.destination->batches_in_flight;
        batch.destination->alone_in_flight = batch.is_alone;
        ++batches_in_flight_;
    }
    return batch;
}

// Those that as many relays were killed with as with the first: the fewer the more there were, and alone in the end, so that
// the last attempts of a dead letter are its own. One that kills relays is found out as soon as if each had always been
// alone, and what only waited beside it goes by batches.
void Lanes::take_suspects(Batch& batch) {
    const StoredMessage& front = suspects_.front().queue.front().message;
    batch.destination = &destination_of(front);
    batch.is_suspect = suspect_in_flight_ = true;
    const int attempts = front.attempts;
    const std::size_t limit = suspects_at_once(attempts);
    for (auto at = suspects_.begin(); at != suspects_.end() && batch.messages.size() < limit;) {
        Lane& lane = *at++;
        const StoredMessage& first = lane.queue.front().message;
        if (first.attempts == attempts && &destination_of(first) == batch.destination)
            take_run(lane, 1, batch);
    }
    batch.is_alone = batch.messages.size() == 1;
}

std::size_t Lanes::suspects_at_once(int attempts) const noexcept {
    if (attempts > attempts_until_blamed(options_) - kills_until_blamed)
        return 1;
    std::size_t limit = options_.batch;
    for (int kill = 1; kill < attempts && limit > 1; ++kill)
        limit /= 8;
    return std::max<std::size_t>(limit, 1);
}

void Lanes::fill(Batch& batch, Destination& destination, TimePoint now, Decisions& decisions) {
    batch.destination = &destination;
    const bool wants_alone = destination.ready.empty() || (!destination.is_down && destination.alone_is_next);
    if (wants_alone && !destination.alone.empty()) {
        destination.alone_is_next = false;
        while (!destination.alone.empty() && batch.empty()) {
            Lane& lane = destination.alone.front();
            if (!is_blamed(lane, destination, now, decisions))
                take_run(lane, 1, batch);
        }
        batch.is_alone = !batch.empty();
        if (batch.is_alone)
            return;
    }
    destination.alone_is_next = true;
    const std::size_t limit = destination.is_down ? 1 : options_.batch;
    while (!destination.ready.empty() && batch.messages.size() < limit) {
        Lane& lane = destination.ready.front();
        if (!is_blamed(lane, destination, now, decisions))
            take_run(lane, limit - batch.messages.size(), batch);
    }
}

// Others were acknowledged since its first message was lost: it was not an outage. True when the lane must wait for it.
bool Lanes::is_blamed(Lane& lane, const Destination& destination, TimePoint now, Decisions& decisions) {
    Item& first = lane.queue.front();
    if (first.lost_at == 0 || destination.acknowledged_at <= first.lost_at)
        return false;
    first.lost_at = 0;
    const bool was_alone = first.lost > lost_until_alone;
    // Lost among others it may be innocent: that alone never makes a dead letter.
    const int most = was_alone ? options_.max_attempts : std::max(options_.max_attempts - 1, 0);
    first.message.attempts = std::max(first.message.attempts, std::min(first.message.attempts + 1, most));
    if (!was_alone)
        return false;
    lane.unlist();
    const std::string reason = "the broker did not answer, while it acknowledged others";
    if (first.message.attempts >= options_.max_attempts)
        give_up(lane, reason, decisions);
    else
        back_off(lane, reason, now, decisions);
    return true;
}

void Lanes::take_run(Lane& lane, std::size_t limit, Batch& batch) {
    lane.unlist();
    lane.state = LaneState::in_flight;
    // What failed before goes first and alone: what follows would be refused with it.
    const Item& head = lane.queue.front();
    const bool one = !gapless_ || head.message.attempts > 0 || head.lost > 0 ||
                     head.message.state == MessageState::parked || fault::broken("lane_window");
    for (std::size_t taken = 0; !lane.queue.empty() && taken < (one ? 1 : limit); ++taken) {
        Item& item = lane.queue.front();
        if (taken > 0 && (item.suspect || &destination_of(item.message) != batch.destination ||
                          !defect(item.message, options_.max_payload).empty()))
            break;
        batch.resent += item.lost > 0;
        batch.slots.push_back(Batch::Slot{&lane, item.lost, item.lost_at});
        batch.messages.push_back(take_first(lane));
        ++lane.in_flight;
    }
    if (fault::broken("lane_window") && !lane.queue.empty())
        batch.destination->ready.push_back(lane);
}

void Lanes::finish(Batch batch, const PublishBatch& reports, const std::string& failure, TimePoint now,
                   Decisions& decisions) {
    judge(*batch.destination, batch, reports, failure, now, decisions);
    for (std::size_t first = 0; first < batch.slots.size();) {
        std::size_t last = first;
        while (last < batch.slots.size() && batch.slots[last].lane == batch.slots[first].lane)
            ++last;
        finish_run(batch, first, last, reports, now, decisions);
        first = last;
    }
}

void Lanes::judge(Destination& destination, const Batch& batch, const PublishBatch& reports, const std::string& failure,
                  TimePoint now, Decisions& decisions) {
    --batches_in_flight_;
    --destination.batches_in_flight;
    if (batch.is_alone)
        destination.alone_in_flight = false;
    if (batch.is_suspect)
        suspect_in_flight_ = false;

    bool acknowledged = false, refused = false;
    for (std::size_t i = 0; i < reports.size(); ++i) {
        acknowledged |= reports.report(i) == PublishBatch::Report::acknowledged;
        refused |= reports.report(i) == PublishBatch::Report::refused;
    }
    if (acknowledged) {
        destination.acknowledged_at = ++tick_;
        destination.flowed_at = now;
    }
    if (acknowledged || refused) {
        if (std::exchange(destination.is_down, false))
            decisions.events.push_back(named(destination) + " answers again after " +
                                       seconds_text(now - destination.down_since));
        destination.failures = 0;
        return;
    }
    // One that was lost alone says little about the others: the next ones tell.
    if (batch.is_alone && !destination.ready.empty() && !destination.is_down)
        return;
    destination.retry_at = now + outage_backoff_.after(++destination.failures);
    destination.why = failure.empty() ? "it answered nothing" : failure;
    if (!std::exchange(destination.is_down, true)) {
        destination.down_since = destination.explore_at = now;
        ++decisions.outages;
        decisions.events.push_back(named(destination) + " is unreachable, trying again: " + destination.why);
        release_suspects(destination);
    }
}

// They wait with the others of their destination: if one of them is what kills relays, it will be found when it does so again.
void Lanes::release_suspects(Destination& destination) {
    for (auto at = suspects_.begin(); at != suspects_.end();) {
        Lane& lane = *at++;
        if (&destination_of(lane.queue.front().message) != &destination)
            continue;
        lane.unlist();
        destination.ready.push_back(lane);
    }
}

void Lanes::finish_run(Batch& batch, std::size_t first, std::size_t last, const PublishBatch& reports, TimePoint now,
                       Decisions& decisions) {
    using Report = PublishBatch::Report;
    Lane& lane = *batch.slots[first].lane;
    lane.in_flight -= static_cast<int>(last - first);
    std::size_t unresolved = last;
    for (std::size_t i = first; i < last; ++i) {
        if (reports.report(i) != Report::acknowledged) {
            unresolved = std::min(unresolved, i);
            continue;
        }
        StoredMessage& message = batch.messages[i];
        bytes_ -= message.payload.size();
        --size_;
        decisions.outcomes.push_back(Outcome{message.message_id,
                                             std::move(message.aggregate_id),
                                             message.sequence,
                                             Settlement::dispatched,
                                             message.attempts,
                                             {}});
        // The run may be long and waits for nothing any more.
        message = StoredMessage{};
    }
    if (unresolved == last) {
        lane.blocked_since.reset();
        if (lane.state != LaneState::leaving && lane.state != LaneState::deciding)
            advance(lane, decisions);
        return;
    }
    for (std::size_t i = last; i-- > unresolved;) {
        if (reports.report(i) == Report::acknowledged)
            continue;
        const bool is_lost = i == unresolved && reports.report(i) == Report::unknown;
        put_back(lane, std::move(batch.messages[i]), batch.slots[i], is_lost ? 1 : 0, is_lost ? batch.sent_at : 0);
    }
    lane.unlist();
    if (reports.report(unresolved) == Report::refused)
        finish_refused(lane, batch.is_suspect, reports.reason(unresolved), now, decisions);
    else
        make_ready(lane, decisions);  // to be blamed, or not, when its turn comes
}

// @param was_marked the attempt was recorded before it was sent
void Lanes::finish_refused(Lane& lane, bool was_marked, std::string reason, TimePoint now, Decisions& decisions) {
    Item& first = lane.queue.front();
    first.lost = 0;
    first.lost_at = 0;
    if (!was_marked)
        ++first.message.attempts;
    ++decisions.refused;
    if (first.message.attempts >= options_.max_attempts)
        give_up(lane, "the broker refused it: " + reason, decisions);
    else
        back_off(lane, "the broker refused it: " + reason, now, decisions);
}

}  // namespace txm::relay
