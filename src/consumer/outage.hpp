#pragma once

#include "consumer/lanes.hpp"

#include <chrono>
#include <cstdint>

namespace txm::detail {

/// Whether the store can be written. One that cannot is no failure of the message that met it, unless others could be
/// written meanwhile: then it is this message that the store cannot take.
class Outage {
public:
    using Time = Lanes::Time;

    bool is_on(Time now) const noexcept { return now < until_; }
    Time until() const noexcept { return until_; }

    /// A try of `entry` met an unavailable store. True: others succeeded since the last time that this happened to it, so
    /// the failure is its own.
    bool blames(Entry& entry) const noexcept {
        const bool is_own = entry.is_suspect && successes_ > entry.successes_then;
        entry.is_suspect = true;
        entry.successes_then = successes_;
        return is_own;
    }

    /// Nothing is handled until then. True when it has just begun.
    bool begin(Time until) noexcept {
        until_ = until;
        return failures_++ == 0;
    }
    int failures() const noexcept { return failures_; }

    /// Something was written. True when that ends an outage.
    bool end() noexcept {
        ++successes_;
        const bool was_on = failures_ > 0;
        failures_ = 0;
        until_ = {};
        return was_on;
    }

private:
    Time until_{};
    int failures_ = 0;
    std::uint64_t successes_ = 0;
};

}  // namespace txm::detail
