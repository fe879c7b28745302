#pragma once

#include "consumer/counters.hpp"
#include "consumer/lanes.hpp"
#include "consumer/outage.hpp"
#include "consumer/verdict.hpp"
#include "core/backoff.hpp"
#include "core/signal.hpp"
#include "txm/consumer.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

namespace txm::detail {

/// What a ConsumerRunner was made of.
struct ConsumerParts {
    ConsumerStore& store;
    Subscription& subscription;
    ConsumerOptions options;
    ConsumerRunner::Handle handle;
    bool is_strict = false;
    std::function<void(const std::string&)> on_event{};
    Counters counters{};
};

/// One ConsumerRunner::run(): coroutines on one strand around the Lanes. A receiver fills them; workers, as many as are
/// needed and used again, handle one delivery at a time and acknowledge it, while another one goes on with the lane;
/// parked lanes are taken up, waiting ones woken, deliveries extended and the inbox purged beside them.
/// It owns no more than the run: nothing of the executor outlives it.
class ConsumerRun : public std::enable_shared_from_this<ConsumerRun> {
public:
    ConsumerRun(boost::asio::any_io_executor strand, ConsumerParts& parts);

    /// The whole run. @throws what ended it, when that is not stop() or the drain
    awaitable<void> supervise();

    /// On the strand. @param times that stop() was called so far
    void stop(int times);

    const boost::asio::any_io_executor& strand() const noexcept { return strand_; }

private:
    using Time = Lanes::Time;
    using Lane = Lanes::Lane;

    struct Child {
        explicit Child(const boost::asio::any_io_executor& executor) : signal(executor) {}
        Signal signal;  ///< wakes it, whatever it waits for
        boost::asio::cancellation_signal cancel{};
    };
    struct Worker : Child {
        using Child::Child;
        Lane* lane = nullptr;  ///< its job: the head of a lane …
        EntryPtr done{};       ///< … or a delivery to be acknowledged
    };

    // run.cpp: the coroutines as a whole
    void spawn(Child& child, awaitable<void> body);
    void fail(std::exception_ptr problem);
    bool is_drained() const;
    void begin_ending();
    void cancel_children();
    awaitable<void> keep_time();
    awaitable<bool> later(Child& child, std::exception_ptr problem, int& failures, const char* what);
    void say(const std::string& line);

    // receive.cpp: broker → lanes
    awaitable<void> receive();
    awaitable<void> start_drain();
    awaitable<void> arrive(std::vector<Delivery> batch);
    awaitable<void> park_behind(std::vector<Delivery> behind);
    bool is_worth_receiving() const;

    // work.cpp: lanes → handler → acknowledgement
    void pump();
    bool has_job() const;
    void take_job(Worker& worker);
    awaitable<void> work(Worker& me);
    awaitable<void> turn(Worker& me);
    awaitable<Judgement> try_once(Entry& entry);
    awaitable<void> failed(Worker& me, Lane& lane, std::string why, bool must_park);
    void store_is_down(Lane& lane, const std::string& why);
    awaitable<void> finish(Worker& me, EntryPtr entry);
    void forget(const Entry& entry);
    Incoming incoming_of(const Delivery& delivery) const;

    // attempts.cpp: what may have killed the process before
    enum class Beginning : std::uint8_t { counted, too_often, ended };

    bool must_count(const Entry& entry);
    awaitable<Beginning> begin_attempt(Worker& me, Entry& entry);
    awaitable<bool> end_attempt(Worker& me, Entry& entry);
    void end_suspect();

    // decide.cpp: what leaves the lanes for the store
    enum class Burial : std::uint8_t { done, decided_otherwise, ended };
    static constexpr const char* nameless = "it has no message id, and its broker gives it no position";

    awaitable<void> dead_letter(Worker& me, Lane& lane, std::string why);
    awaitable<Burial> bury(Child& child, Entry& entry, std::string why, bool hold);
    awaitable<void> decided_before(Worker& me, Lane& lane);
    awaitable<void> hold_rest(Worker& me, Lane& lane, std::string why);
    awaitable<void> park(Worker& me, Lane& lane, Timestamp next_attempt, std::string why);
    awaitable<bool> park_entries(Worker& me, const std::string& key, std::vector<EntryPtr> entries,
                                 Timestamp next_attempt, std::string why);
    void note_parked(const std::string& key);

    // upkeep.cpp
    awaitable<void> retry_parked();
    awaitable<bool> take_due();
    awaitable<void> purge();
    awaitable<void> purge_once();
    awaitable<void> extend();

    boost::asio::any_io_executor strand_;
    ConsumerParts& parts_;
    ConsumerStore& store_;
    Subscription& subscription_;
    const ConsumerOptions& options_;
    const std::chrono::milliseconds extend_every_;
    Counters& counters_;

    const std::size_t limit_, window_;
    Lanes lanes_;
    Outage outage_;
    Backoff backoff_;

    Child receiver_, clock_, retrier_, purger_, extender_;
    std::deque<Worker> workers_;
    std::vector<Worker*> idle_;
    std::deque<EntryPtr> done_;            // to be acknowledged by the next free worker
    std::size_t handling_ = 0;             // lanes that workers have
    std::size_t from_broker_ = 0;          // deliveries in memory that are not acknowledged
    std::unordered_set<Uuid> from_store_;  // parked deliveries in memory

    // Lanes that were parked since the receiver asked which ones are: the answer may not know them.
    bool is_asking_ = false;
    std::unordered_set<std::string> parked_meanwhile_;

    // Lanes whose parked deliveries were done with since the retrier asked which ones are due: the answer may not know it, nor
    // that what follows is held.
    bool is_taking_ = false;
    std::unordered_set<std::string> done_meanwhile_;

    std::size_t first_from_store_;    // parked deliveries whose attempts are still counted
    const Entry* suspect_ = nullptr;  // that is handled, or about to be
    Worker* last_chance_ = nullptr;   // has the suspect, which is handled while nothing else is
    std::deque<Worker*> suspects_waiting_;

    Signal changed_;  // wakes supervise()
    std::size_t children_ = 0;
    int stops_ = 0;
    bool is_receiving_ = true;
    bool nothing_is_due_ = false;  // of the parked lanes, since the receiver ended
    bool is_ending_ = false;
    bool is_cancelled_ = false;
    std::exception_ptr failure_;
};

}  // namespace txm::detail
