#include "consumer/run.hpp"

#include "core/fault_point.hpp"

#include <utility>

namespace txm::detail {

awaitable<void> ConsumerRun::dead_letter(Worker& me, Lane& lane, std::string why) {
    const EntryPtr entry = lane.head();
    const bool hold = options_.policy == DeadLetterPolicy::hold;
    const Burial burial = co_await bury(me, *entry, why, hold);
    if (burial == Burial::ended)
        co_return;
    if (burial == Burial::decided_otherwise || !hold) {
        me.done = lanes_.settle(lane);
        co_return;
    }
    const std::string id = entry->delivery.message.message_id.to_string();
    co_await hold_rest(me, lane, "an earlier message of its lane is a dead letter: " + id);
}

awaitable<ConsumerRun::Burial> ConsumerRun::bury(Child& child, Entry& entry, std::string why, bool hold) {
    const Incoming incoming = incoming_of(entry.delivery);
    Delivery delivery = entry.delivery;  // not changed in place: it may be being extended
    delivery.attempt = entry.tries;
    bool was_decided = false;
    int failures = 0;
    for (bool again = true; again;) {
        std::exception_ptr problem;
        try {
            fault::point("consumer.before_dead_letter");
            co_await store_.dead_letter(incoming, delivery, why, hold);
            fault::point("consumer.after_dead_letter");
        } catch (const MessageAlreadyProcessedError&) {
            was_decided = true;
        } catch (...) {
            problem = std::current_exception();
        }
        if (!problem)
            break;
        again = co_await later(child, problem, failures, "a dead letter cannot be recorded");
        if (!again)
            co_return Burial::ended;
    }
    if (was_decided) {
        ++counters_.duplicates;
        co_return Burial::decided_otherwise;
    }
    ++counters_.dead;
    // Its parking ended with the dead letter.
    entry.is_acknowledged = entry.is_acknowledged || entry.origin == Origin::store;
    say("message " + incoming.message_id.to_string() + " is a dead letter: " + why +
        (hold ? "; its aggregate waits for `txm messages replay` or `skip` with --inbox" : ""));
    co_return Burial::done;
}

// Decided before, perhaps by another process just now, and perhaps as a dead letter that holds the lane: then what is behind
// it waits in the store.
awaitable<void> ConsumerRun::decided_before(Worker& me, Lane& lane) {
    bool is_parked = false;
    if (lanes_.has_broker_entries(lane.key())) {
        const std::vector<Delivery> head{lane.head()->delivery};
        int failures = 0;
        for (bool again = true; again;) {
            std::exception_ptr problem;
            try {
                const std::vector<bool> answers = co_await store_.is_parked(head);
                is_parked = answers.at(0);
            } catch (...) {
                problem = std::current_exception();
            }
            if (!problem)
                break;
            again = co_await later(me, problem, failures, "the store does not say whether a lane is parked");
            if (!again)
                co_return;
        }
    }
    if (is_parked)
        co_await hold_rest(me, lane, "an earlier message of its lane is parked");
    else
        me.done = lanes_.settle(lane);
}

// Ends the turn of a lane that the store has parked, or holds: its head is done, the rest is parked.
awaitable<void> ConsumerRun::hold_rest(Worker& me, Lane& lane, std::string why) {
    note_parked(lane.key());
    std::vector<EntryPtr> rest = lanes_.take(lane);
    done_.push_back(std::move(rest.front()));
    rest.erase(rest.begin());
    pump();
    const bool is_parked = co_await park_entries(me, lane.key(), std::move(rest), now(), why);
    if (is_parked)
        co_await park(me, lane, now(), why);
}

// Parks what the lane has in memory and what comes while that is done, and forgets the lane.
awaitable<void> ConsumerRun::park(Worker& me, Lane& lane, Timestamp next_attempt, std::string why) {
    for (;;) {
        std::vector<EntryPtr> entries = lanes_.take(lane);
        if (entries.empty())
            break;
        if (entries.front()->origin == Origin::broker && entries.front()->tries > 0)
            say("the lane of message " + entries.front()->delivery.message.message_id.to_string() +
                " is parked: " + why);
        const bool is_parked = co_await park_entries(me, lane.key(), std::move(entries), next_attempt, why);
        if (!is_parked)
            co_return;
    }
    lanes_.close(lane);
}

awaitable<bool> ConsumerRun::park_entries(Worker& me, const std::string& key, std::vector<EntryPtr> entries,
                                          Timestamp next_attempt, std::string why) {
    std::vector<Delivery> batch;
    std::size_t fresh = 0;
    for (const EntryPtr& entry : entries) {
        // Nothing could tell it from another one without an id later: it is decided now. What holds the lane is before it.
        if (entry->is_nameless) {
            const Burial burial = co_await bury(me, *entry, nameless, false);
            if (burial == Burial::ended)
                co_return false;
            continue;
        }
        // One that came from the store is there still; only the one that was tried has something new.
        if (entry->origin == Origin::store && entry->failure.empty())
            continue;
        fresh += entry->origin == Origin::broker ? 1 : 0;
        batch.push_back(entry->delivery);
        batch.back().attempt = entry->tries;
    }
    int failures = 0;
    for (bool again = !batch.empty(); again;) {
        std::exception_ptr problem;
        try {
            fault::point("consumer.before_park");
            co_await store_.park(batch, next_attempt, why);
            fault::point("consumer.after_park");
        } catch (...) {
            problem = std::current_exception();
        }
        if (!problem)
            break;
        again = co_await later(me, problem, failures, "a lane cannot be parked");
        if (!again)
            co_return false;
    }
    note_parked(key);
    counters_.parked += fresh;
    for (EntryPtr& entry : entries) {
        if (entry->origin == Origin::broker)
            done_.push_back(std::move(entry));
        else
            forget(*entry);
    }
    pump();
    co_return true;
}

void ConsumerRun::note_parked(const std::string& key) {
    if (is_asking_)
        parked_meanwhile_.insert(key);
}

}  // namespace txm::detail
