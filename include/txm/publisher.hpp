#pragma once

#include "txm/message.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace txm {

using boost::asio::awaitable;

/// Messages to publish, and the place to report what became of each. A report counts from the moment it is made, even
/// if the publisher throws later.
class PublishBatch {
public:
    enum class Report : std::uint8_t { unknown, acknowledged, refused, postponed };

    /// *Lifetime*: `messages` must outlive the batch.
    explicit PublishBatch(std::span<const StoredMessage> messages) : messages_(messages), reports_(messages.size()) {}

    std::span<const StoredMessage> messages() const noexcept { return messages_; }
    auto begin() const noexcept { return messages_.begin(); }
    auto end() const noexcept { return messages_.end(); }
    std::size_t size() const noexcept { return messages_.size(); }

    /// The broker has it, durably as the broker promises. `message` is an element of messages().
    void acknowledge(const StoredMessage& message);

    /// The broker will not take this message as it is: spends an attempt.
    void refuse(const StoredMessage& message, std::string why);

    /// The broker did not get it, for a reason that is not the message's own (too many requests, no connection): it comes
    /// again and spends no attempt, even if others of its destination are acknowledged meanwhile.
    void postpone(const StoredMessage& message);

    Report report(std::size_t index) const noexcept { return reports_[index].report; }
    /// Why the message was refused.
    const std::string& reason(std::size_t index) const noexcept { return reports_[index].why; }

private:
    struct Entry {
        Report report = Report::unknown;
        std::string why{};
    };

    std::size_t index_of(const StoredMessage& message) const;

    std::span<const StoredMessage> messages_;
    std::vector<Entry> reports_;
};

/// A broker, as the relay sees it. Derive from it to add one.
class Publisher {
public:
    virtual ~Publisher() = default;

    /// Sends a batch and reports on each message, as it happens. A batch has at most one message of an aggregate,
    /// unless gapless(). Throwing means that the broker is unreachable, which spends no attempt; what is not reported is
    /// unknown and will be sent again.
    /// *Thread safety*: called from one executor, up to max_concurrent_batches() at a time.
    virtual awaitable<void> publish(PublishBatch& batch) = 0;

    /// True when a run of one aggregate in a batch is accepted or refused in such a way that nothing is accepted after
    /// something of the same aggregate was not. Then a batch may hold several messages of one aggregate, in order.
    virtual bool gapless() const noexcept { return false; }

    virtual std::size_t max_concurrent_batches() const { return 1; }

    /// What fails together: health is judged by destination (an endpoint, a topic).
    virtual std::string destination(const StoredMessage& message) const {
        (void)message;
        return {};
    }
};

}  // namespace txm
