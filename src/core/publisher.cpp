#include "txm/publisher.hpp"

#include <functional>
#include <stdexcept>

namespace txm {

void PublishBatch::acknowledge(const StoredMessage& message) {
    Entry& entry = reports_[index_of(message)];
    entry.report = Report::acknowledged;
    entry.why.clear();
}

void PublishBatch::refuse(const StoredMessage& message, std::string why) {
    Entry& entry = reports_[index_of(message)];
    // What the broker has cannot be taken back by a later report.
    if (entry.report == Report::acknowledged)
        return;
    entry.report = Report::refused;
    entry.why = std::move(why);
}

void PublishBatch::postpone(const StoredMessage& message) {
    Entry& entry = reports_[index_of(message)];
    if (entry.report == Report::unknown)
        entry.report = Report::postponed;
}

std::size_t PublishBatch::index_of(const StoredMessage& message) const {
    const std::less<const StoredMessage*> before;
    const StoredMessage* const first = messages_.data();
    if (before(&message, first) || !before(&message, first + messages_.size()))
        throw std::invalid_argument("txm: a publisher reported on message " + message.message_id.to_string() +
                                    ", which is not an element of the batch's messages()");
    return static_cast<std::size_t>(&message - first);
}

}  // namespace txm
