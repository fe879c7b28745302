#pragma once

#include "txm/timestamp.hpp"
#include "txm/uuid.hpp"

#include <chrono>
#include <compare>
#include <concepts>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace txm {

/// What a message is about: messages of one aggregate keep their order. Any text; a Uuid becomes its text form.
class AggregateId {
public:
    AggregateId() = default;
    AggregateId(const Uuid& id) : text_(id.to_string()) {}
    AggregateId(std::string text) : text_(std::move(text)) {}
    AggregateId(std::string_view text) : text_(text) {}
    AggregateId(const char* text) : text_(text) {}

    const std::string& str() const noexcept { return text_; }

    friend auto operator<=>(const AggregateId&, const AggregateId&) = default;

private:
    std::string text_;
};

std::ostream& operator<<(std::ostream&, const AggregateId&);

/// The place of a message in its outbox: positive, growing in commit order (per aggregate at least). 0: not stored yet.
using Sequence = std::int64_t;

/// Free names and values that travel with a message. Names are case-sensitive here; brokers may not keep the case.
using Headers = std::map<std::string, std::string, std::less<>>;

/// Where a message stands. The numbers are the outbox table's column `state`.
enum class MessageState : std::uint8_t {
    pending = 0,     ///< committed, not dispatched
    dispatched = 1,  ///< acknowledged by the broker, and recorded so
    parked = 2,      ///< its lane is blocked
    dead = 3,        ///< a dead letter, or skipped by an operator
};

/// `pending`, `dispatched`, `parked` or `dead`.
std::string_view to_string(MessageState state) noexcept;

/// A message as an outbox holds it and a broker carries it. A regular value.
struct StoredMessage {
    Uuid message_id;
    AggregateId aggregate_id;
    Uuid correlation_id;  ///< what the message belongs to; the message_id when its sender gave none
    std::string topic;
    std::string type;     ///< stable wire name of the message's type; may be empty
    std::string payload;  ///< the serialized message: valid UTF-8
    Headers headers;
    Timestamp created_at{};  ///< the sender's
    Timestamp stored_at{};   ///< the store's: fixed once, travels on the wire, decides what an inbox remembers
    Sequence sequence = 0;
    MessageState state = MessageState::pending;
    int attempts = 0;  ///< failed deliveries to the broker since it was stored or replayed
    int replays = 0;   ///< how often an operator sent it again
    int approximate_dispatch_count = 0;
    std::optional<Timestamp> last_dispatched_at;

    bool is_dispatched() const noexcept { return state == MessageState::dispatched; }

    friend bool operator==(const StoredMessage&, const StoredMessage&) = default;
};

namespace detail {

template <class Time>
concept SystemTime = requires(const Time& t) { std::chrono::floor<std::chrono::microseconds>(t) - Timestamp{}; };

}  // namespace detail

/// How txm reads a message of type M when MessageTraits is not specialised: for each property a const function of that
/// name, or else a field of it.
template <class M>
struct DefaultMessageTraits {
    static Uuid message_id(const M& m)
        requires requires { Uuid(m.message_id()); }
    {
        return m.message_id();
    }
    static Uuid message_id(const M& m)
        requires requires { Uuid(m.message_id); }
    {
        return m.message_id;
    }
    static AggregateId aggregate_id(const M& m)
        requires requires { AggregateId(m.aggregate_id()); }
    {
        return AggregateId(m.aggregate_id());
    }
    static AggregateId aggregate_id(const M& m)
        requires requires { AggregateId(m.aggregate_id); }
    {
        return AggregateId(m.aggregate_id);
    }
    static Uuid correlation_id(const M& m)
        requires requires { Uuid(m.correlation_id()); }
    {
        return m.correlation_id();
    }
    static Uuid correlation_id(const M& m)
        requires requires { Uuid(m.correlation_id); }
    {
        return m.correlation_id;
    }
    static Timestamp created_at(const M& m)
        requires detail::SystemTime<decltype(m.created_at())>
    {
        return std::chrono::floor<std::chrono::microseconds>(m.created_at());
    }
    static Timestamp created_at(const M& m)
        requires detail::SystemTime<decltype(m.created_at)>
    {
        return std::chrono::floor<std::chrono::microseconds>(m.created_at);
    }
    static std::string serialize(const M& m)
        requires requires { std::string(m.serialize()); }
    {
        return m.serialize();
    }
    static M deserialize(std::string_view payload)
        requires requires { M(M::deserialize(payload)); }
    {
        return M::deserialize(payload);
    }
    /// Optional: a message without headers needs neither.
    static Headers headers(const M& m)
        requires requires { Headers(m.headers()); }
    {
        return m.headers();
    }
    static Headers headers(const M& m)
        requires requires { Headers(m.headers); }
    {
        return m.headers;
    }
};

/// Specialise it for a type that you cannot change, such as generated code:
/// @code
/// template <> struct txm::MessageTraits<acme::Invoice> {
///     static Uuid message_id(const acme::Invoice& m) { return Uuid::parse(m.id()); }
///     static AggregateId aggregate_id(const acme::Invoice& m) { return m.customer(); }
///     static Uuid correlation_id(const acme::Invoice&) { return {}; }   // nil: becomes the message_id
///     static Timestamp created_at(const acme::Invoice&) { return now(); }
///     static std::string serialize(const acme::Invoice& m) { return base64(m.SerializeAsString()); }
///     static acme::Invoice deserialize(std::string_view payload);       // only to consume it
/// };
/// @endcode
template <class M>
struct MessageTraits : DefaultMessageTraits<M> {};

namespace detail {

template <class M>
concept HasMessageId = requires(const M& m) { MessageTraits<M>::message_id(m); };
template <class M>
concept HasAggregateId = requires(const M& m) { MessageTraits<M>::aggregate_id(m); };
template <class M>
concept HasCorrelationId = requires(const M& m) { MessageTraits<M>::correlation_id(m); };
template <class M>
concept HasCreatedAt = requires(const M& m) { MessageTraits<M>::created_at(m); };
template <class M>
concept HasSerialize = requires(const M& m) { MessageTraits<M>::serialize(m); };
template <class M>
concept HasDeserialize = requires(std::string_view payload) { MessageTraits<M>::deserialize(payload); };
template <class M>
concept HasHeaders = requires(const M& m) { MessageTraits<M>::headers(m); };

/// One readable line for what is missing, instead of a page of notes.
template <class M>
constexpr bool check_message() {
    // Named first: GCC 12 misjudges the concepts that follow a failed static_assert.
    constexpr bool id = HasMessageId<M>, aggregate = HasAggregateId<M>, correlation = HasCorrelationId<M>,
                   created = HasCreatedAt<M>, body = HasSerialize<M>;
    static_assert(id, "txm: the message needs `message_id`: a field or a const function giving txm::Uuid");
    static_assert(aggregate,
                  "txm: the message needs `aggregate_id`: a field or a const function giving txm::Uuid or a string");
    static_assert(correlation, "txm: the message needs `correlation_id`: a field or a const function giving txm::Uuid");
    static_assert(created,
                  "txm: the message needs `created_at`: a field or a const function giving a system_clock time");
    static_assert(body, "txm: the message needs `std::string serialize() const`, or specialise txm::MessageTraits");
    return true;
}

}  // namespace detail

/// A type that can be published: it has message_id, aggregate_id, correlation_id, created_at and serialize, each through
/// MessageTraits.
template <class M>
concept Message = detail::HasMessageId<M> && detail::HasAggregateId<M> && detail::HasCorrelationId<M> &&
                  detail::HasCreatedAt<M> && detail::HasSerialize<M>;

}  // namespace txm

template <>
struct std::hash<txm::AggregateId> {
    std::size_t operator()(const txm::AggregateId& id) const noexcept { return std::hash<std::string>{}(id.str()); }
};
