#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace txm::relay {

/// Doubling delays with jitter, so that what failed together is not tried again together.
class Backoff {
public:
    using Duration = std::chrono::steady_clock::duration;

    Backoff(std::chrono::milliseconds first, std::chrono::milliseconds most) : first_(first), most_(most) {}

    /// The delay after the `failures`-th failure (1 is the first): between ¾ and 5/4 of `first` · 2^(failures - 1), of `most`
    /// at most.
    Duration after(int failures) {
        const int doublings = std::clamp(failures - 1, 0, 30);
        const double base = std::min(static_cast<double>(first_.count()) * static_cast<double>(1L << doublings),
                                     static_cast<double>(most_.count()));
        const double spread = std::uniform_real_distribution<double>{0.75, 1.25}(random_);
        return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>{base * spread});
    }

private:
    std::chrono::milliseconds first_, most_;
    std::minstd_rand random_{std::random_device{}()};
};

}  // namespace txm::relay
