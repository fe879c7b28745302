#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace txm::detail {

/// How long to wait after the n-th failure: doubles each time, with jitter, so that what failed together is not tried
/// again together.
class Backoff {
public:
    using Duration = std::chrono::steady_clock::duration;

    Backoff(std::chrono::milliseconds first, std::chrono::milliseconds longest) : first_(first), longest_(longest) {}

    /// Between ¾ and 5/4 of `first` · 2^(failures - 1), or of `longest` where that is less.
    /// @param failures so far, at least 1
    Duration after(int failures) {
        const double doubled =
            static_cast<double>(first_.count()) * static_cast<double>(1L << std::clamp(failures - 1, 0, 30));
        const double base = std::min(doubled, static_cast<double>(longest_.count()));
        // Of the thread, and only once something failed: to ask for a seed costs more than what most owners of this do.
        thread_local std::minstd_rand random{std::random_device{}()};
        const double spread = std::uniform_real_distribution<double>{0.75, 1.25}(random);
        return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>{base * spread});
    }

private:
    std::chrono::milliseconds first_, longest_;
};

}  // namespace txm::detail
