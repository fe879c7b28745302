#pragma once

#include "txm/error.hpp"
#include "txm/message.hpp"
#include "txm/topics.hpp"

#include <stdexcept>
#include <type_traits>
#include <typeinfo>
#include <variant>
#include <vector>

namespace txm {

namespace detail {

template <class T>
inline constexpr bool is_variant = false;
template <class... Ts>
inline constexpr bool is_variant<std::variant<Ts...>> = true;

}  // namespace detail

/// The synchronous part of an outbox that domain code needs: publish, and nothing else. The same for a session, a
/// borrowed transaction and a fake.
/// *Thread safety*: one thread at a time, as the session behind it.
class OutboxWriter {
public:
    virtual ~OutboxWriter() = default;

    /// Stages messages; does no I/O (a borrowed outbox writes at once, into the open transaction).
    /// Each item is a message, a std::variant of messages, a pointer (smart or not) or std::optional of one, or a range
    /// of these. All of the call are staged, or none. A polymorphic message goes by its dynamic type. A StoredMessage
    /// goes as it is, with its own topic and type: what forwards messages it has no C++ type for.
    /// @throws UnknownTopicError, std::invalid_argument (nil message_id, null pointer, one id twice in the call),
    ///         Error(invalid_message) for a payload that is not UTF-8 or too large.
    template <class... Items>
    void publish(const Items&... items) {
        std::vector<Staged> batch;
        (collect(batch, items), ...);
        check(batch);
        stage(std::move(batch));
    }

    /// Bytes that a payload may have: 1 MiB unless changed. The relay has a limit of its own (RelayOptions::max_payload).
    void limit_payload(std::size_t bytes) noexcept { max_payload_ = bytes; }

protected:
    struct Staged {
        StoredMessage message;
        const Topic* topic;  ///< of the TopicMap: valid as long as the writer; null for a StoredMessage
        const void*
            original;  ///< the caller's object, most derived; valid during stage() only; null for a StoredMessage
    };

    explicit OutboxWriter(TopicMap topics) : topics_(std::move(topics)) {}

    /// Takes all of `batch` or throws and takes none.
    virtual void stage(std::vector<Staged> batch) = 0;

private:
    void check(const std::vector<Staged>& batch) const;

    template <class T>
    void collect(std::vector<Staged>& out, const T& item) const {
        if constexpr (std::same_as<T, StoredMessage>) {
            out.push_back(Staged{item, nullptr, nullptr});
            if (item.correlation_id.is_nil())
                out.back().message.correlation_id = item.message_id;
        } else if constexpr (detail::is_variant<T>) {
            std::visit([&](const auto& alternative) { collect(out, alternative); }, item);
        } else if constexpr (requires { *item; } && !Message<T>) {
            if (!item)
                throw std::invalid_argument("txm: publish() got a null pointer or an empty optional");
            collect(out, *item);
        } else if constexpr (requires {
                                 item.begin();
                                 item.end();
                             } && !Message<T>) {
            for (const auto& element : item)
                collect(out, element);
        } else if constexpr (detail::check_message<T>() && Message<T>) {
            add(out, item);
        }
    }

    template <class M>
    void add(std::vector<Staged>& out, const M& item) const {
        using Traits = MessageTraits<M>;
        const Topic& topic = topics_.at(typeid(item));
        const void* original = &item;
        if constexpr (std::is_polymorphic_v<M>)
            original = dynamic_cast<const void*>(&item);
        StoredMessage message;
        message.message_id = Traits::message_id(item);
        message.aggregate_id = Traits::aggregate_id(item);
        message.correlation_id = Traits::correlation_id(item);
        if (message.correlation_id.is_nil())
            message.correlation_id = message.message_id;
        message.topic = topic.name;
        message.type = topic.type;
        message.payload = Traits::serialize(item);
        if constexpr (detail::HasHeaders<M>)
            message.headers = Traits::headers(item);
        message.created_at = Traits::created_at(item);
        out.push_back(Staged{std::move(message), &topic, original});
    }

    TopicMap topics_;
    std::size_t max_payload_ = std::size_t{1} << 20;
};

/// Checks what every path into an outbox checks: message_id not nil, topic and aggregate_id not empty, payload and all
/// texts valid UTF-8, payload at most `max_payload` bytes.
/// @throws Error(invalid_message) saying which, with the message_id
void validate(const StoredMessage& message, std::size_t max_payload = std::size_t{1} << 20);

}  // namespace txm
