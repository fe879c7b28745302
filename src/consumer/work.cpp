#include "consumer/run.hpp"

#include "core/fault_point.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace txm::detail {

namespace asio = boost::asio;
using std::chrono::steady_clock;

namespace {

/// Counts a lane out when its turn ends, however it ends.
class TurnEnd {
public:
    explicit TurnEnd(std::size_t& handling) noexcept : handling_(handling) {}
    TurnEnd(const TurnEnd&) = delete;
    TurnEnd& operator=(const TurnEnd&) = delete;
    ~TurnEnd() { --handling_; }

private:
    std::size_t& handling_;
};

}  // namespace

bool ConsumerRun::has_job() const {
    if (!done_.empty())
        return true;
    if (is_ending_ || last_chance_)
        return false;
    // The place of the next suspect is kept until it has been woken.
    const std::size_t kept = !suspect_ && !suspects_waiting_.empty() ? 1 : 0;
    return lanes_.is_any_ready() && handling_ + kept < limit_ && !outage_.is_on(steady_clock::now());
}

void ConsumerRun::take_job(Worker& worker) {
    if (done_.empty()) {
        worker.lane = lanes_.start();
        ++handling_;
    } else {
        worker.done = std::move(done_.front());
        done_.pop_front();
    }
}

// Hands what can be done to idle workers, and to new ones as long as not every delivery in memory has its own.
void ConsumerRun::pump() {
    lanes_.make_room();
    if (last_chance_ && handling_ == 1)
        last_chance_->signal.notify();
    while (has_job()) {
        if (!idle_.empty()) {
            Worker& worker = *idle_.back();
            idle_.pop_back();
            take_job(worker);
            worker.signal.notify();
        } else if (workers_.size() < window_ + limit_) {
            Worker& worker = workers_.emplace_back(strand_);
            take_job(worker);
            spawn(worker, work(worker));
        } else {
            return;
        }
    }
    if (is_worth_receiving())
        receiver_.signal.notify();
}

awaitable<void> ConsumerRun::work(Worker& me) {
    for (;;) {
        if (me.lane) {
            co_await turn(me);
            pump();
        } else if (me.done) {
            EntryPtr entry = std::exchange(me.done, nullptr);
            co_await finish(me, std::move(entry));
        } else if (has_job()) {
            take_job(me);
        } else if (is_ending_) {
            co_return;
        } else {
            idle_.push_back(&me);
            while (!me.lane && !me.done && !is_ending_)
                co_await me.signal.wait();
            std::erase(idle_, &me);
        }
    }
}

// One try of the head of a lane, and what follows for the lane. Its acknowledgement comes after the turn, beside the
// lane's next delivery.
awaitable<void> ConsumerRun::turn(Worker& me) {
    const TurnEnd counted{handling_};
    Lane& lane = *std::exchange(me.lane, nullptr);
    const EntryPtr entry = lane.head();
    if (entry->must_park) {
        Timestamp next = now();
        if (lane.blocked_since())
            next += std::chrono::duration_cast<Timestamp::duration>(lane.retry_at() - steady_clock::now());
        std::string why = entry->failure.empty() ? "an earlier message of its lane is parked" : entry->failure;
        co_await park(me, lane, next, std::move(why));
        co_return;
    }
    if (fault::broken("ack_before_commit") && entry->origin == Origin::broker && !entry->is_acknowledged) {
        co_await subscription_.acknowledge(entry->delivery);
        entry->is_acknowledged = true;
    }
    const bool is_counted = must_count(*entry);
    if (is_counted) {
        const Beginning beginning = co_await begin_attempt(me, *entry);
        if (beginning == Beginning::ended)
            co_return;
        if (beginning == Beginning::too_often) {
            std::string why = "the consumer's process ended " + std::to_string(entry->tries) +
                              " times while it handled it: see its log, or the kernel's";
            co_await dead_letter(me, lane, std::move(why));
            co_return;
        }
    }
    Judgement judgement = co_await try_once(*entry);
    if (is_counted) {
        // Of a cancelled one, too: ends of the process that it did not cause would make a dead letter of it.
        co_await asio::this_coro::throw_if_cancelled(false);
        const bool goes_on = co_await end_attempt(me, *entry);
        co_await asio::this_coro::throw_if_cancelled(true);
        if (!goes_on)
            co_return;
    }
    switch (judgement.verdict) {
        case Verdict::processed:
            ++counters_.processed;
            if (outage_.end())
                say("the store is available again");
            me.done = lanes_.settle(lane);
            break;
        case Verdict::duplicate:
            ++counters_.duplicates;
            if (judgement.content_differs) {
                ++counters_.content_mismatches;
                say("message " + entry->delivery.message.message_id.to_string() +
                    " came again with another payload, which had no effect: its sender uses one id twice");
            }
            co_await decided_before(me, lane);
            break;
        case Verdict::ignored:
            ++counters_.ignored;
            me.done = lanes_.settle(lane);
            break;
        case Verdict::dead: co_await dead_letter(me, lane, std::move(judgement.why)); break;
        case Verdict::failed: co_await failed(me, lane, std::move(judgement.why), false); break;
        case Verdict::store_down: {
            const bool is_again = entry->is_suspect;
            if (outage_.blames(*entry))
                co_await failed(me, lane, std::move(judgement.why), false);
            else if (is_again && lanes_.size() == 1)
                // No other lane can tell whether it is the store or the message: parking it does, since that is written.
                co_await failed(me, lane, std::move(judgement.why), true);
            else
                store_is_down(lane, judgement.why);
            break;
        }
        case Verdict::aborted: break;  // the run was cancelled: it stays as it is, and comes again
        case Verdict::fatal: break;    // as above: try_once() has ended the run
    }
}

awaitable<Judgement> ConsumerRun::try_once(Entry& entry) {
    const StoredMessage& message = entry.delivery.message;
    if (entry.is_nameless)
        co_return Judgement(Verdict::dead, nameless);
    const Incoming incoming = incoming_of(entry.delivery);
    bool has_handler = false;
    std::exception_ptr problem;
    try {
        fault::point("consumer.before_handle");
        has_handler = co_await parts_.handle(incoming, entry.delivery);
        fault::point("consumer.after_commit");
    } catch (...) {
        problem = std::current_exception();
    }
    Judgement result(has_handler ? Verdict::processed : Verdict::ignored);
    if (problem) {
        result = judge(problem, message.message_id);
        if (result.verdict == Verdict::fatal)
            fail(problem);
        if (result.verdict == Verdict::aborted && !is_cancelled_)
            result.verdict = Verdict::failed;
    } else if (!has_handler && parts_.is_strict) {
        result.verdict = Verdict::dead;
        result.why = "no handler for type \"" + message.type + "\" of topic \"" + message.topic + "\"";
    }
    co_return result;
}

awaitable<void> ConsumerRun::failed(Worker& me, Lane& lane, std::string why, bool must_park) {
    const EntryPtr entry = lane.head();
    ++counters_.failed;
    ++entry->tries;
    if (entry->tries >= options_.max_attempts) {
        co_await dead_letter(me, lane, std::move(why));
        co_return;
    }
    const auto delay = backoff_.after(entry->tries);
    const Time at = steady_clock::now();
    if (entry->tries == 1)
        say("message " + entry->delivery.message.message_id.to_string() + " failed, trying it again: " + why);
    entry->failure = std::move(why);
    const bool is_long = at + delay - lane.blocked_since().value_or(at) > options_.park_after;
    if (must_park || is_long || entry->origin == Origin::store) {
        const Timestamp next = now() + std::chrono::duration_cast<Timestamp::duration>(delay);
        co_await park(me, lane, next, entry->failure);
        co_return;
    }
    lanes_.wait(lane, at, at + delay);
    clock_.signal.notify();
}

void ConsumerRun::store_is_down(Lane& lane, const std::string& why) {
    lanes_.again(lane);
    const Time at = steady_clock::now();
    if (outage_.is_on(at))
        return;
    if (outage_.begin(at + backoff_.after(outage_.failures() + 1)))
        say("the store is not available, all lanes wait: " + why);
    clock_.signal.notify();
}

// Done: acknowledged, or parked no longer. Never given up while the run goes on, since it would pin the broker's position.
awaitable<void> ConsumerRun::finish(Worker& me, EntryPtr entry) {
    int failures = 0;
    for (bool again = true; again;) {
        std::exception_ptr problem;
        try {
            if (!entry->is_acknowledged && entry->origin == Origin::broker)
                co_await subscription_.acknowledge(entry->delivery);
            else if (!entry->is_acknowledged)
                co_await store_.unpark(entry->delivery);
            entry->is_acknowledged = true;
            fault::point("consumer.after_acknowledge");
        } catch (const FenceLostError&) {
            // Its lane went to another member of the group, which gets it again; the inbox knows it.
        } catch (...) {
            problem = std::current_exception();
        }
        if (!problem)
            break;
        again = co_await later(me, problem, failures, "a handled delivery cannot be acknowledged");
        if (!again)
            co_return;
    }
    forget(*entry);
}

void ConsumerRun::forget(const Entry& entry) {
    if (entry.origin == Origin::broker) {
        --from_broker_;
        if (is_worth_receiving())
            receiver_.signal.notify();
    } else {
        from_store_.erase(entry.delivery.message.message_id);
        if (is_taking_)
            done_meanwhile_.insert(Lanes::key_of(entry.delivery.message));
        retrier_.signal.notify();  // the next one of its lane may be due
    }
    counters_.in_flight = from_broker_ + from_store_.size();
    if (is_drained())
        changed_.notify();
}

Incoming ConsumerRun::incoming_of(const Delivery& delivery) const {
    const StoredMessage& message = delivery.message;
    std::optional<Timestamp> stored_at;
    if (message.stored_at != Timestamp{})
        stored_at = message.stored_at;
    return Incoming(message.message_id, options_.name, stored_at, payload_hash(message.payload), delivery.replay);
}

}  // namespace txm::detail
