#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace txm::detail {

/// How long to wait after the n-th failure: doubles each time, with jitter, so that what failed together is not tried
/// again together.
class Backoff {
public:
    using Duration = std::chrono::milliseconds;

    Backoff(Duration first, Duration longest) : first_(first), longest_(longest) {}

    /// @param failures so far, at least 1
    Duration after(int failures) {
        // Beyond 2^20 times the first wait the longest one rules anyway.
        const Duration full = std::min(longest_, first_ * (Duration::rep{1} << std::clamp(failures - 1, 0, 20)));
        return Duration(std::uniform_int_distribution<Duration::rep>(full.count() / 2, full.count())(random_));
    }

private:
    Duration first_, longest_;
    std::minstd_rand random_{std::random_device{}()};
};

}  // namespace txm::detail
