#include "stores/sqlite/admin_filter.hpp"

namespace txm::sqlite::detail {

std::string json_ids(const std::vector<Uuid>& ids) {
    std::string json = "[";
    for (const Uuid& id : ids)
        json += (json.size() > 1 ? ",\"" : "\"") + id.to_string() + "\"";
    return json + "]";
}

FilterSql::FilterSql(const MessageFilter& filter, std::string_view prefix, int first) : prefix_(prefix), first_(first) {
    if (filter.topic)
        add("topic", "=", *filter.topic);
    if (filter.aggregate_id)
        add("aggregate_id", "=", *filter.aggregate_id);
    if (filter.since)
        add("stored_at", ">=", to_iso8601(*filter.since));
    if (filter.before)
        add("stored_at", "<", to_iso8601(*filter.before));
    if (filter.correlation_id) {
        // None was given: it is the message's own id.
        const std::string column = prefix_ + "correlation_id";
        conditions_ += " and coalesce(" + column + ", " + prefix_ + "message_id) = ?" +
                       std::to_string(first_ + static_cast<int>(values_.size()));
        values_.push_back(filter.correlation_id->to_string());
    }
}

void FilterSql::add(std::string_view column, std::string_view op, std::string value) {
    conditions_ += " and " + prefix_ + std::string(column) + " " + std::string(op) + " ?" +
                   std::to_string(first_ + static_cast<int>(values_.size()));
    values_.push_back(std::move(value));
}

void FilterSql::bind(Query& query) const {
    int index = first_;
    for (const std::string& value : values_)
        query.bind(index++, value);
}

}  // namespace txm::sqlite::detail
