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
    std::size_t max_in_flight = 64;  ///< deliveries handled at a time, each of another lane
    int max_attempts = 10;           ///< failures until a delivery is a dead letter
    DeadLetterPolicy policy = DeadLetterPolicy::hold;
    std::chrono::milliseconds backoff{100};  ///< after the first failure; doubles each time, with jitter
    std::chrono::milliseconds max_backoff{60'000};
    std::chrono::milliseconds park_after{30'000};       ///< a lane blocked that long is parked in the consumer's store
    std::chrono::seconds inbox_retention{14 * 86'400};  ///< 0: for ever
    std::chrono::milliseconds drain_deadline{10'000};
    bool drain = false;  ///< run() returns once all that was there at its start is settled or parked
};

struct ConsumerStatistics {
    std::uint64_t received = 0;
    std::uint64_t processed = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t ignored = 0;  ///< of a type without a handler
    std::uint64_t failed = 0;   ///< tries that failed
    std::uint64_t parked = 0;
    std::uint64_t dead = 0;
    std::uint64_t content_mismatches = 0;  ///< a known id that came with another payload
    std::size_t in_flight = 0;
};

/// The part of a consumer that does not depend on the user's types: lanes, retries, parking, dead letters,
/// acknowledgement. Use it directly to handle every delivery with one function.
/// *Thread safety*: run() on one executor; stop() and statistics() from any thread.
class ConsumerRunner {
public:
    /// Handles one delivery: enters a unit of work for `incoming`, applies the effect, commits.
    /// It throws MessageAlreadyProcessedError for a duplicate, Rejected or OutsideInboxWindowError for a dead letter,
    /// anything else to be tried again. It returns false when it has no handler for the delivery's type.
    using Handle = std::function<awaitable<bool>(const Incoming& incoming, const Delivery& delivery)>;

    /// *Lifetime*: store and subscription must outlive it.
    ConsumerRunner(ConsumerStore& store, Subscription& subscription, ConsumerOptions options, Handle handle);
    ~ConsumerRunner();
    ConsumerRunner(const ConsumerRunner&) = delete;
    ConsumerRunner& operator=(const ConsumerRunner&) = delete;

    /// Handles deliveries until stop(), or until drained with ConsumerOptions::drain.
    awaitable<void> run();

    /// Ends run(): no new deliveries, handlers are finished. A second call ends it without waiting.
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
    void add(const Topic& topic, Handler handler);                          ///< @throws std::invalid_argument: twice
    const Handler* find(const StoredMessage& message) const noexcept;

private:
    std::map<std::pair<std::string, std::string>, Handler> handlers_;
};

/// Enters `uow`, runs the handler, commits what the handler did not: the inbox row at least.
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
        handlers_.add(topics.at(typeid(M)), [handler = std::move(handler)](UnitOfWork& uow, const Delivery& delivery) {
            return apply<M>(handler, static_cast<Uow&>(uow), delivery);
        });
        return *this;
    }

    /// Dead-letters a type that has no handler, instead of acknowledging and counting it.
    Consumer& strict() noexcept {
        runner_.strict();
        return *this;
    }

    awaitable<void> run() {
        return runner_.run();
    }
    void stop() noexcept {
        runner_.stop();
    }
    ConsumerStatistics statistics() const {
        return runner_.statistics();
    }
    void on_event(std::function<void(const std::string&)> listener) {
        runner_.on_event(std::move(listener));
    }

private:
    template <class M>
    static M decode(const Delivery& delivery) {
        try {
            return MessageTraits<M>::deserialize(delivery.message.payload);
        } catch (const std::exception& e) {
            throw Rejected(std::string("cannot decode the payload: ") + e.what());
        }
    }

    template <class M, class H>
    static awaitable<void> apply(H handler, Uow& uow, const Delivery& delivery) {
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
