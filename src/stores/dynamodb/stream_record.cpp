#include "stores/dynamodb/stream_record.hpp"

#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/outbox_row.hpp"

#include <chrono>
#include <string_view>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

const boost::json::object* object_in(const boost::json::object& object, std::string_view name) {
    const boost::json::value* value = object.if_contains(name);
    return value ? value->if_object() : nullptr;
}

bool waits_to_be_sent(const Item& image) {
    const std::string* mark = text_of(image, "NotDispatched");
    return mark && *mark == not_dispatched;
}

std::optional<Candidate> candidate_in(std::string_view event, const boost::json::object& change,
                                      std::size_t max_payload) {
    const bool is_new = event == "INSERT";
    if (!is_new && event != "MODIFY")
        return std::nullopt;
    const boost::json::object* image_json = object_in(change, "NewImage");
    if (!image_json) {
        const boost::json::object* key_json = object_in(change, "Keys");
        if (!is_new || !key_json)
            return std::nullopt;
        const Item key = item_from(*key_json);
        const std::string* row_key = text_of(key, "PK");
        return row_key ? std::optional(candidate_of(*row_key)) : std::nullopt;
    }
    const Item image = item_from(*image_json);
    if (!waits_to_be_sent(image))
        return std::nullopt;
    if (is_new)
        return candidate_of(image, max_payload);
    const boost::json::object* old_json = object_in(change, "OldImage");
    const std::string* row_key = text_of(image, "PK");
    if (!row_key || (old_json && waits_to_be_sent(item_from(*old_json))))
        return std::nullopt;
    return candidate_of(*row_key);
}

Timestamp time_in(const boost::json::object& change) {
    const boost::json::value* value = change.if_contains("ApproximateCreationDateTime");
    if (!value || !value->is_number())
        return {};
    const std::chrono::duration<double> since_epoch{value->to_number<double>()};
    return Timestamp{std::chrono::duration_cast<std::chrono::microseconds>(since_epoch)};
}

}  // namespace

StreamRecord stream_record_of(const boost::json::object& json, std::size_t max_payload) {
    StreamRecord record;
    const boost::json::object* change = object_in(json, "dynamodb");
    if (!change)
        return record;
    record.sequence_number = text_in(*change, "SequenceNumber");
    record.created_at = time_in(*change);
    record.candidate = candidate_in(text_in(json, "eventName"), *change, max_payload);
    return record;
}

}  // namespace txm::dynamodb::detail
