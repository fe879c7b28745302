#include "consumer/run.hpp"

#include "core/fault_point.hpp"

#include <algorithm>
#include <utility>

namespace txm::detail {

namespace {

// So many ends of the process must be explained: a neighbour that was in flight has one or two.
constexpr int fewest_ends = 3;

}  // namespace

// What may have been in flight when the process was killed: counting every attempt would cost a transaction each.
bool ConsumerRun::must_count(const Entry& entry) {
    if (entry.is_nameless)
        return false;
    if (entry.origin == Origin::broker)
        return entry.delivery.redelivered;
    if (first_from_store_ == 0)
        return false;
    --first_from_store_;
    return true;
}

// Counts the attempt that begins. One that was begun before and never ended is a suspect: it is handled while no other suspect
// is, and for the last time while nothing else is, so that the next end of the process tells which one it was.
awaitable<ConsumerRun::Beginning> ConsumerRun::begin_attempt(Worker& me, Entry& entry) {
    int unfinished = 0;
    bool is_alone = false;
    int failures = 0;
    for (bool again = true; again;) {
        std::exception_ptr problem;
        try {
            fault::point("consumer.before_begin_attempt");
            unfinished = co_await store_.begin_attempt(entry.delivery, is_alone);
            fault::point("consumer.after_begin_attempt");
        } catch (...) {
            problem = std::current_exception();
        }
        if (problem) {
            again = co_await later(me, problem, failures, "an attempt cannot be counted");
            if (!again) {
                if (is_alone)
                    end_suspect();
                co_return Beginning::ended;
            }
            continue;
        }
        if (unfinished == 0 || is_alone)
            break;
        const int most = std::max(options_.max_attempts, fewest_ends);
        if (unfinished >= most) {
            entry.tries = std::max(entry.tries, unfinished);
            co_return Beginning::too_often;
        }
        while (suspect_ && !is_ending_ && !is_cancelled_) {
            suspects_waiting_.push_back(&me);
            // Others take its place: a suspect that hangs must not stop them all.
            --handling_;
            pump();
            co_await me.signal.wait();
            ++handling_;
            std::erase(suspects_waiting_, &me);
        }
        if (is_ending_ || is_cancelled_)
            co_return Beginning::ended;
        suspect_ = &entry;
        is_alone = true;
        if (unfinished + 1 < most)
            continue;
        // Its last one: what is handled beside it must not be able to end the process in its place.
        last_chance_ = &me;
        while (handling_ > 1 && !is_ending_)
            co_await me.signal.wait();
        if (is_ending_) {
            end_suspect();
            co_return Beginning::ended;
        }
    }
    co_return Beginning::counted;
}

// The process survived the attempt, whatever became of it.
awaitable<bool> ConsumerRun::end_attempt(Worker& me, Entry& entry) {
    bool is_done = true;
    int failures = 0;
    for (bool again = true; again;) {
        std::exception_ptr problem;
        try {
            fault::point("consumer.before_end_attempt");
            co_await store_.end_attempt(entry.delivery);
            fault::point("consumer.after_end_attempt");
        } catch (...) {
            problem = std::current_exception();
        }
        if (!problem)
            break;
        again = co_await later(me, problem, failures, "the end of an attempt cannot be recorded");
        is_done = again;
    }
    if (suspect_ == &entry)
        end_suspect();
    co_return is_done;
}

void ConsumerRun::end_suspect() {
    suspect_ = nullptr;
    last_chance_ = nullptr;
    if (!suspects_waiting_.empty())
        suspects_waiting_.front()->signal.notify();
}

}  // namespace txm::detail
