#include "stores/dynamodb/admin_filter.hpp"

#include "txm/error.hpp"

namespace txm::dynamodb::detail {

bool selects(const MessageFilter& filter, const StoredMessage& message) {
    if (!filter.ids.empty() && std::ranges::find(filter.ids, message.message_id) == filter.ids.end())
        return false;
    if (filter.topic && message.topic != *filter.topic)
        return false;
    if (filter.aggregate_id && message.aggregate_id.str() != *filter.aggregate_id)
        return false;
    if (filter.correlation_id && message.correlation_id != *filter.correlation_id)
        return false;
    if (filter.since && message.stored_at < *filter.since)
        return false;
    return !filter.before || message.stored_at < *filter.before;
}

void require_before(const MessageFilter& filter) {
    if (!filter.before)
        throw Error(Errc::invalid_configuration, "a purge needs an age: what is younger is kept");
}

}  // namespace txm::dynamodb::detail
