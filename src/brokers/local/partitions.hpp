#pragma once

#include "brokers/local/schema.hpp"
#include "brokers/local/window.hpp"
#include "txm/subscription.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace txm::local::detail {

/// One partition of one of the subscription's topics.
struct PartitionKey {
    std::size_t topic = 0;
    int partition = 0;

    friend bool operator==(const PartitionKey&, const PartitionKey&) = default;
};

/// A partition as it was taken over.
struct TakenPartition {
    PartitionKey key;
    Offset floor = 0;
    Offset settled_to = 0;
    Offset suspect_to = 0;
};

/// How to read on in one topic.
struct TopicScan {
    std::size_t topic = 0;
    Offset from = 0;               ///< read what is above it
    Offset settled_to = 0;         ///< up to here, leave out what is settled
    std::uint32_t partitions = 0;  ///< a bit for each partition to read
    std::uint64_t generation = 0;
};

/// What was read of one topic.
struct TopicRows {
    std::vector<Delivery> rows{};
    Offset read_to = 0;  ///< nothing is left to read up to it
};

/// An acknowledgement's effect on the tables.
struct SettledRow {
    PartitionKey key;
    Offset offset = 0;
};
struct FloorRow {
    PartitionKey key;
    Offset floor = 0;
};

/// What a subscription holds of its group: its partitions, what is read and waits to be received, and what was received and
/// is not acknowledged. *Thread safety*: any thread; nothing waits inside.
class Partitions {
public:
    explicit Partitions(std::vector<std::string> topics);

    const std::vector<std::string>& topics() const noexcept { return topics_; }

    // The membership's side.
    void take(const TakenPartition& taken);
    void stop(PartitionKey key);   ///< no new deliveries of it
    void close(PartitionKey key);  ///< given back
    void close_all();
    std::size_t unacknowledged(PartitionKey key) const;
    Offset floor(PartitionKey key) const;
    bool is_ours(PartitionKey key) const;

    // The receiver's side.
    /// How to read on in each topic of which we have a partition.
    std::vector<TopicScan> plan() const;
    /// True when something is now ready.
    bool add(std::span<const TopicScan> scans, std::span<TopicRows> read);
    std::vector<Delivery> receive(std::size_t max);
    bool is_ready() const;
    /// Whether everything of our own partitions up to `offset` is settled.
    bool is_settled(Offset offset) const;

    // The acknowledger's side.
    struct Acknowledged {
        std::vector<SettledRow> settled;  ///< above their floors, or of partitions that are not ours
        std::vector<FloorRow> floors;     ///< that have grown since they were written
        bool is_drained = false;          ///< a partition that is to be given back has nothing in flight any more
    };
    /// @param all_floors those of partitions without an acknowledgement too
    Acknowledged acknowledge(std::span<const SettledRow> acknowledged, bool all_floors);
    void floors_written(std::span<const FloorRow> floors);
    /// @throws std::invalid_argument for a delivery of a topic that is not subscribed
    SettledRow key_of(const Delivery& delivery) const;

private:
    struct Topic {
        std::array<Window, partition_count> windows;
        Offset read_to = 0;
        std::uint64_t generation = 0;  ///< changes with the set of open windows
    };

    Window& window(PartitionKey key) { return state_[key.topic].windows[static_cast<std::size_t>(key.partition)]; }
    const Window& window(PartitionKey key) const {
        return state_[key.topic].windows[static_cast<std::size_t>(key.partition)];
    }
    void drop_ready(PartitionKey key);
    std::size_t topic_index(const std::string& topic) const;

    const std::vector<std::string> topics_;
    mutable std::mutex mutex_;
    std::vector<Topic> state_;
    std::deque<Delivery> ready_;
};

}  // namespace txm::local::detail
