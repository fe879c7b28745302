#pragma once

#include "txm/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace txm {

/// 64-bit FNV-1a of a payload: enough to notice that one id came with two contents, not a defence against an attacker.
std::uint64_t payload_hash(std::string_view payload) noexcept;

/// What a unit of work and an inbox need to know of the message that is being handled.
struct Incoming {
    Uuid message_id;
    std::string consumer;                       ///< who handles it; empty: the inbox repository's own consumer name
    std::optional<Timestamp> stored_at;         ///< when its sender's store took it; none: unknown
    std::optional<std::uint64_t> payload_hash;  ///< see txm::payload_hash
    bool replay = false;                        ///< a dead letter that an operator sent again

    Incoming() = default;
    Incoming(const Uuid& id) : message_id(id) {}  // implicit: a message_id alone is enough for most callers
    Incoming(const Uuid& id, std::string consumer_name, std::optional<Timestamp> stored = {},
             std::optional<std::uint64_t> hash = {}, bool is_replay = false)
        : message_id(id),
          consumer(std::move(consumer_name)),
          stored_at(stored),
          payload_hash(hash),
          replay(is_replay) {}
};

}  // namespace txm
