#pragma once

#include <exception>
#include <string>

namespace txm::relay {

/// What an exception of a feed or publisher means for the relay.
enum class Trouble {
    none,
    passing,      ///< try again later
    interrupted,  ///< OutboxFeed::interrupt()
    lease_lost,
    lasting,  ///< waiting cannot mend it: run() ends with it
};

Trouble classify(const std::exception_ptr& error) noexcept;

/// Its what().
std::string text_of(const std::exception_ptr& error);

}  // namespace txm::relay
