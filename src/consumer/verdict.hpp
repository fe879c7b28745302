#pragma once

#include "txm/uuid.hpp"

#include <cstdint>
#include <exception>
#include <string>
#include <utility>

namespace txm::detail {

/// What became of one try to handle a delivery.
enum class Verdict : std::uint8_t {
    processed,   ///< its effect is committed
    ignored,     ///< its type has no handler
    duplicate,   ///< it was decided before
    dead,        ///< it must not be tried again
    failed,      ///< it may be tried again
    store_down,  ///< the store did not take it, or did not say
    aborted,     ///< it was cancelled
    fatal,       ///< nothing can be handled before an operator has done something
};

class Judgement {
public:
    Judgement(Verdict v, std::string reason = {}, bool differs = false)
        : verdict(v), why(std::move(reason)), content_differs(differs) {}

    Verdict verdict;
    std::string why;
    bool content_differs;  ///< a duplicate's id was decided for another payload
};

/// What an exception says of the try to handle the message `message_id`.
Judgement judge(const std::exception_ptr& problem, const Uuid& message_id);

}  // namespace txm::detail
