#pragma once

#include "txm/consumer_store.hpp"
#include "txm/error.hpp"
#include "txm/relay.hpp"
#include "txm/subscription.hpp"
#include "txm/topics.hpp"
#include "txm/unit_of_work.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace txm {

class ConsumerOptions {
public:
    /// @param consumer_name who takes effect: with the message_id the key of the inbox. Two consumers of one store need two
    ///        names.
    explicit ConsumerOptions(std::string consumer_name = "default") : name(std::move(consumer_name)) {}

    std::string name;
    /// Deliveries handled at a time, each of another lane; at most twice as many are in memory. When lanes that wait for a
    /// retry hold more than half of those, some are parked at once.
    std::size_t max_in_flight = 64;
    /// Failures until a delivery is a dead letter. What the broker counts is not added: it counts deliveries, and one that
    /// was interrupted by a restart did not fail.
    int max_attempts = 10;
    /// What becomes of a lane whose delivery is a dead letter, for whatever reason: too many failures, Rejected, older
    /// than the inbox remembers, or (strict) without a handler.
    DeadLetterPolicy policy = DeadLetterPolicy::hold;
    std::chrono::milliseconds backoff{100};  ///< after the first failure; doubles each time, with jitter
    std::chrono::milliseconds max_backoff{60'000};
    std::chrono::milliseconds park_after{30'000};  ///< a lane blocked that long is parked in the consumer's store
    std::chrono::milliseconds parked_poll{1'000};  ///< how often parked lanes are looked at
    /// How often a delivery that is in memory is extended; more often where Subscription::extend_within() asks for it.
    std::chrono::milliseconds extend_every{3'000};
    std::chrono::seconds inbox_retention{14 * 86'400};  ///< 0: for ever
    std::chrono::milliseconds drain_deadline{10'000};   ///< stop() waits that long for handlers that run
    bool drain = false;  ///< run() returns once all that was there at its start is settled, or parked and not due
};

struct ConsumerStatistics {
    std::uint64_t received = 0;
    std::uint64_t processed = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t ignored = 0;  ///< of a type without a handler
    std::uint64_t failed = 0;   ///< tries that failed
    std::uint64_t parked = 0;   ///< deliveries put into the consumer's store, to be handled later
    std::uint64_t dead = 0;
    std::uint64_t content_mismatches = 0;  ///< a known id that came with another payload
    std::size_t in_flight = 0;             ///< deliveries in memory
};

/// The part of a consumer that does not depend on the user's types: lanes, retries, parking, dead letters,
/// acknowledgement. Use it directly to handle every delivery with one function.
///
/// A lane is one aggregate of one topic. Its deliveries are handled one after the other, those of other lanes beside it;
/// the next one starts when the one before it took effect, is a dead letter under policy `skip`, or was decided before.
/// A delivery that fails waits in memory and its lane with it; a lane that is blocked for longer is parked in the store
/// and acknowledged, so that it pins nothing at the broker. A store that is unavailable is nobody's failure: it spends
/// no attempt and all lanes wait, until it is one delivery alone that cannot be written.
///
/// *Thread safety*: run() on one executor, which may have many threads: handlers run one at a time on a strand of it,
/// interleaved where they await. stop() and statistics() from any thread.
class ConsumerRunner {
public:
    /// Handles one delivery: enters a unit of work for `incoming`, applies the effect, commits.
    /// It throws MessageAlreadyProcessedError for a duplicate, Rejected or OutsideInboxWindowError for a dead letter,
    /// anything else to be tried again. It returns false when it has no handler for the delivery's type.
    /// Both references live until it is done. *Cancellation*: terminal, when the drain deadline is over.
    using Handle = std::function<awaitable<bool>(const Incoming& incoming, const Delivery& delivery)>;

    /// *Lifetime*: store and subscription must outlive it.
    ConsumerRunner(ConsumerStore& store, Subscription& subscription, ConsumerOptions options, Handle handle);
    ~ConsumerRunner();
    ConsumerRunner(const ConsumerRunner&) = delete;
    ConsumerRunner& operator=(const ConsumerRunner&) = delete;

    /// Handles deliveries until stop(), or until drained with ConsumerOptions::drain. Once in the life of a runner.
    /// A broker or store that is unreachable is tried again with backoff; it does not end it.
    /// *Cancellation*: as a second stop().
    /// @throws what cannot be mended by waiting: Error(schema_missing), Error(schema_too_new), Error(invalid_configuration)
    awaitable<void> run();

    /// Ends run(): no new deliveries, handlers that run are finished up to the drain deadline and then cancelled; what
    /// was not handled is not acknowledged and will come again. A second call cancels them at once.
    void stop() noexcept;

    /// Dead-letters a type that has no handler, instead of acknowledging and counting it.
    void strict() noexcept;

    ConsumerStatistics statistics() const;

    /// Called with one line for each thing that an operator should see. Set it before run(); called on its executor.
    void on_event(std::function<void(const std::string&)> listener);

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

namespace detail {

/// Handlers by (topic, type), type-erased; a delivery without a type goes to the topic's only handler.
class HandlerMap {
public:
    using Handler = std::function<awaitable<void>(UnitOfWork& uow, const Delivery& delivery)>;
    void add(const Topic& topic, Handler handler);  ///< @throws std::invalid_argument: twice
    const Handler* find(const StoredMessage& message) const noexcept;

private:
    using Types = std::map<std::string, Handler, std::less<>>;
    std::map<std::string, Types, std::less<>> topics_;
};

/// Enters `uow`, runs the handler, commits what the handler did not: the inbox row at least, so that what is
/// acknowledged is remembered even when the handler decided to do nothing. An exception rolls back.
/// @throws AlreadyCommittedError when the handler committed and staged more
awaitable<void> handle_within(UnitOfWork& uow, const HandlerMap::Handler& handler, const Delivery& delivery);

}  // namespace detail

/// Applies messages exactly once: a unit of work a delivery, in which the inbox row and the handler's writes are
/// committed together, then the acknowledgement.
///
/// @code
/// txm::Consumer<UnitOfWork> consumer{store, subscription, txm::ConsumerOptions{"billing"},
///                                    [&](const txm::Incoming& in) { return std::make_unique<UnitOfWork>(db, in); }};
/// consumer.on<OrderCreated>(topics, reserve_credit);   // void or awaitable<void>, of (UnitOfWork&, const OrderCreated&)
/// co_await consumer.run();
/// @endcode
///
/// txm commits after the handler returned; a unit of work that the handler committed itself is left alone. A handler
/// throws Rejected to make a dead letter; after anything else it is tried again, with backoff, its lane waiting.
/// *Lifetime*: store and subscription must outlive it. *Thread safety*: run() on one executor; stop() from any thread.
template <std::derived_from<UnitOfWork> Uow>
class Consumer {
public:
    using Factory = std::function<std::unique_ptr<Uow>(const Incoming& incoming)>;

    Consumer(ConsumerStore& store, Subscription& subscription, ConsumerOptions options, Factory factory)
        : factory_(std::move(factory)),
          runner_(store, subscription, std::move(options),
                  [this](const Incoming& incoming, const Delivery& delivery) { return handle(incoming, delivery); }) {}

    /// Handles messages of type M, of the topic and wire name that `topics` gives it.
    /// @throws UnknownTopicError; std::invalid_argument for a second handler of the same type
    template <class M, class H>
    Consumer& on(const TopicMap& topics, H handler) {
        constexpr bool can_decode = detail::HasDeserialize<M>, can_call = std::invocable<H&, Uow&, const M&>;
        static_assert(can_decode, "txm: to be consumed, the message needs `static M deserialize(std::string_view)`");
        static_assert(can_call, "txm: the handler must take (UnitOfWork&, const Message&)");
        handlers_.add(topics.at(typeid(M)),
                      [handler = std::move(handler)](UnitOfWork& uow, const Delivery& delivery) mutable {
                          return apply<M>(handler, static_cast<Uow&>(uow), delivery);
                      });
        return *this;
    }

    /// Dead-letters a type that has no handler, instead of acknowledging and counting it.
    Consumer& strict() noexcept {
        runner_.strict();
        return *this;
    }

    awaitable<void> run() { return runner_.run(); }
    void stop() noexcept { runner_.stop(); }
    ConsumerStatistics statistics() const { return runner_.statistics(); }
    void on_event(std::function<void(const std::string&)> listener) { runner_.on_event(std::move(listener)); }

private:
    template <class M>
    static M decode(const Delivery& delivery) {
        try {
            return MessageTraits<M>::deserialize(delivery.message.payload);
        } catch (const std::exception& e) {
            throw Rejected(std::string("cannot decode the payload: ") + e.what());
        }
    }

    // By reference: the handler lives in the map, the unit of work and the delivery until this is done.
    template <class M, class H>
    static awaitable<void> apply(H& handler, Uow& uow, const Delivery& delivery) {
        const M message = decode<M>(delivery);
        if constexpr (std::is_void_v<std::invoke_result_t<H&, Uow&, const M&>>)
            handler(uow, message);
        else
            co_await handler(uow, message);
        co_return;
    }

    awaitable<bool> handle(const Incoming& incoming, const Delivery& delivery) {
        const auto* handler = handlers_.find(delivery.message);
        if (!handler)
            co_return false;
        const std::unique_ptr<Uow> uow = factory_(incoming);
        co_await detail::handle_within(*uow, *handler, delivery);
        co_return true;
    }

    Factory factory_;
    detail::HandlerMap handlers_;
    ConsumerRunner runner_;
};

}  // namespace txm
