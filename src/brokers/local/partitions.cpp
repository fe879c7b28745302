#include "brokers/local/partitions.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <stdexcept>

namespace txm::local::detail {

Partitions::Partitions(std::vector<std::string> topics) : topics_(std::move(topics)), state_(topics_.size()) {}

void Partitions::take(const TakenPartition& taken) {
    const std::lock_guard lock(mutex_);
    window(taken.key).open(taken.floor, taken.settled_to, taken.suspect_to);
    Topic& topic = state_[taken.key.topic];
    const bool is_first = std::ranges::count_if(topic.windows, &Window::is_open) == 1;
    topic.read_to = is_first ? taken.floor : std::min(topic.read_to, taken.floor);
    ++topic.generation;
}

void Partitions::stop(PartitionKey key) {
    const std::lock_guard lock(mutex_);
    drop_ready(key);
    window(key).stop();
    ++state_[key.topic].generation;
}

void Partitions::close(PartitionKey key) {
    const std::lock_guard lock(mutex_);
    drop_ready(key);
    window(key).close();
    ++state_[key.topic].generation;
}

void Partitions::close_all() {
    const std::lock_guard lock(mutex_);
    for (const Delivery& delivery : ready_)
        window({topic_index(delivery.message.topic), delivery.partition}).forget(delivery.position);
    ready_.clear();
    for (Topic& topic : state_) {
        std::ranges::for_each(topic.windows, &Window::close);
        ++topic.generation;
    }
}

std::size_t Partitions::unacknowledged(PartitionKey key) const {
    const std::lock_guard lock(mutex_);
    return window(key).unacknowledged();
}

Offset Partitions::floor(PartitionKey key) const {
    const std::lock_guard lock(mutex_);
    return window(key).floor();
}

bool Partitions::is_ours(PartitionKey key) const {
    const std::lock_guard lock(mutex_);
    return window(key).is_ours();
}

std::vector<TopicScan> Partitions::plan() const {
    const std::lock_guard lock(mutex_);
    std::vector<TopicScan> scans;
    for (std::size_t t = 0; t < state_.size(); ++t) {
        TopicScan scan{.topic = t, .from = state_[t].read_to, .generation = state_[t].generation};
        for (std::size_t p = 0; p < partition_count; ++p) {
            const Window& w = state_[t].windows[p];
            if (!w.is_open())
                continue;
            scan.partitions |= std::uint32_t{1} << p;
            scan.settled_to = std::max(scan.settled_to, w.settled_to());
        }
        if (scan.partitions != 0)
            scans.push_back(scan);
    }
    return scans;
}

bool Partitions::add(std::span<const TopicScan> scans, std::span<TopicRows> read) {
    const std::lock_guard lock(mutex_);
    const std::size_t had = ready_.size();
    for (std::size_t i = 0; i < scans.size(); ++i) {
        const TopicScan& scan = scans[i];
        Topic& topic = state_[scan.topic];
        // Partitions changed hands meanwhile: read again, for the ones that are ours now.
        if (topic.generation != scan.generation)
            continue;
        for (Delivery& delivery : read[i].rows)
            if (window({scan.topic, delivery.partition}).admit(delivery.position))
                ready_.push_back(std::move(delivery));
        for (Window& w : topic.windows)
            if (w.is_open())
                w.skip_to(read[i].read_to);
        topic.read_to = std::max(topic.read_to, read[i].read_to);
    }
    if (scans.size() > 1)
        std::ranges::stable_sort(ready_.begin() + static_cast<std::ptrdiff_t>(had), ready_.end(), {},
                                 &Delivery::position);
    return !ready_.empty();
}

std::vector<Delivery> Partitions::receive(std::size_t max) {
    const std::lock_guard lock(mutex_);
    const std::size_t count = std::min(max, ready_.size());
    const auto end = ready_.begin() + static_cast<std::ptrdiff_t>(count);
    for (auto it = ready_.begin(); it != end; ++it)
        it->redelivered = window({topic_index(it->message.topic), it->partition}).is_suspect(it->position);
    std::vector<Delivery> deliveries(std::make_move_iterator(ready_.begin()), std::make_move_iterator(end));
    ready_.erase(ready_.begin(), end);
    return deliveries;
}

bool Partitions::is_ready() const {
    const std::lock_guard lock(mutex_);
    return !ready_.empty();
}

bool Partitions::is_settled(Offset offset) const {
    const std::lock_guard lock(mutex_);
    return std::ranges::all_of(state_, [&](const Topic& topic) {
        return std::ranges::all_of(topic.windows, [&](const Window& w) { return !w.is_ours() || w.floor() >= offset; });
    });
}

Partitions::Acknowledged Partitions::acknowledge(std::span<const SettledRow> acknowledged, bool all_floors) {
    const std::lock_guard lock(mutex_);
    Acknowledged result;
    std::vector<std::uint32_t> touched(state_.size(), all_floors ? ~std::uint32_t{0} : 0);
    for (const SettledRow& row : acknowledged) {
        Window& w = window(row.key);
        w.acknowledge(row.offset);
        touched[row.key.topic] |= std::uint32_t{1} << row.key.partition;
        result.is_drained |= w.is_stopped() && w.unacknowledged() == 0;
    }
    for (const SettledRow& row : acknowledged) {
        const Window& w = window(row.key);
        if (!w.is_ours() || row.offset > w.floor())
            result.settled.push_back(row);
    }
    for (std::size_t t = 0; t < state_.size(); ++t)
        for (int p = 0; p < partition_count; ++p) {
            if ((touched[t] >> p & 1) == 0)
                continue;
            const Window& w = window({t, p});
            if (w.is_ours() && w.floor() > w.floor_in_file())
                result.floors.push_back({{t, p}, w.floor()});
        }
    return result;
}

void Partitions::floors_written(std::span<const FloorRow> floors) {
    const std::lock_guard lock(mutex_);
    for (const FloorRow& row : floors)
        window(row.key).floor_written(row.floor);
}

SettledRow Partitions::key_of(const Delivery& delivery) const {
    const std::size_t topic = topic_index(delivery.message.topic);
    if (topic == topics_.size() || delivery.partition < 0 || delivery.partition >= partition_count)
        throw std::invalid_argument("txm: the delivery of message " + delivery.message.message_id.to_string() +
                                    " is not of this subscription");
    return {{topic, delivery.partition}, static_cast<Offset>(delivery.token)};
}

void Partitions::drop_ready(PartitionKey key) {
    std::erase_if(ready_, [&](const Delivery& delivery) {
        if (delivery.partition != key.partition || delivery.message.topic != topics_[key.topic])
            return false;
        window(key).forget(delivery.position);
        return true;
    });
}

std::size_t Partitions::topic_index(const std::string& topic) const {
    return static_cast<std::size_t>(std::ranges::find(topics_, topic) - topics_.begin());
}

}  // namespace txm::local::detail
