#pragma once

#include "txm/consumer.hpp"

#include <atomic>
#include <cstdint>

namespace txm::detail {

/// ConsumerStatistics while they are counted. *Thread safety*: any thread reads, the run's strand writes.
struct Counters {
    std::atomic<std::uint64_t> received{0}, processed{0}, duplicates{0}, ignored{0}, failed{0}, parked{0}, dead{0},
        content_mismatches{0};
    std::atomic<std::size_t> in_flight{0};

    ConsumerStatistics read() const {
        ConsumerStatistics result;
        result.received = received;
        result.processed = processed;
        result.duplicates = duplicates;
        result.ignored = ignored;
        result.failed = failed;
        result.parked = parked;
        result.dead = dead;
        result.content_mismatches = content_mismatches;
        result.in_flight = in_flight;
        return result;
    }
};

}  // namespace txm::detail
