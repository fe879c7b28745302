#include "stores/sqlite/feed_row.hpp"

#include "core/headers_json.hpp"
#include "core/utf8.hpp"
#include "txm/error.hpp"

#include <optional>
#include <utility>

namespace txm::sqlite::detail {
namespace {

// Only the first problem is told: the others often follow from it.
class Problem {
public:
    explicit Problem(std::string& text) : text_(text) { text_.clear(); }
    void operator()(std::string_view what) {
        if (text_.empty())
            text_ = what;
    }
    bool is_none() const noexcept { return text_.empty(); }

private:
    std::string& text_;
};

std::string not_a(std::string_view column, std::string_view what, std::string_view value) {
    constexpr std::size_t shown = 60;
    std::string text = "its " + std::string(column) + " is not " + std::string(what) + ": '";
    text += value.substr(0, shown);
    text += value.size() > shown ? "…'" : "'";
    return text;
}

Headers read_headers(std::string_view text) {
    return text.empty() || text == "{}" ? Headers{} : txm::detail::headers_from_json(text);
}

Timestamp read_time(const Query& row, int column, std::string_view name, Problem& problem) {
    const std::optional<Timestamp> time = try_parse_iso8601(row.text(column));
    if (!time)
        problem(not_a(name, "a time in ISO 8601", row.text(column)));
    return time.value_or(Timestamp{});
}

}  // namespace

bool read_outbox_row(const Query& row, std::size_t max_payload, StoredMessage& message, std::string& problem) {
    Problem found{problem};
    message.sequence = row.integer(0);
    if (const auto id = Uuid::try_parse(row.text(1)); id && !id->is_nil())
        message.message_id = *id;
    else
        found(not_a("message_id", "a UUID (the nil one is none)", row.text(1)));
    message.aggregate_id = AggregateId(row.text(2));
    message.correlation_id = message.message_id;
    if (!row.is_null(3)) {
        if (const auto id = Uuid::try_parse(row.text(3)); !id)
            found(not_a("correlation_id", "a UUID", row.text(3)));
        else if (!id->is_nil())
            message.correlation_id = *id;
    }
    message.topic = row.text(4);
    if (message.topic.empty())
        found("its topic is empty");
    message.type = row.text(5);
    for (const auto& [column, text] :
         {std::pair{"aggregate_id", row.text(2)}, {"topic", row.text(4)}, {"type", row.text(5)}}) {
        if (!txm::detail::is_utf8(text))
            found("its " + std::string(column) + " is not UTF-8");
    }

    const std::string_view payload = row.text(6);
    if (payload.size() > max_payload)
        found("its payload has " + std::to_string(payload.size()) + " bytes, more than the limit of " +
              std::to_string(max_payload));
    else if (!txm::detail::is_utf8(payload))
        found("its payload is not UTF-8");
    else
        message.payload = payload;

    try {
        message.headers = read_headers(row.text(7));
    } catch (const Error& e) {
        found(std::string("its headers are not a JSON object of strings: ") + e.what());
    }
    message.created_at = read_time(row, 8, "created_at", found);
    message.stored_at = read_time(row, 9, "stored_at", found);
    message.state = static_cast<MessageState>(row.integer(10));
    message.attempts = static_cast<int>(row.integer(11));
    message.replays = static_cast<int>(row.integer(12));
    message.approximate_dispatch_count = static_cast<int>(row.integer(13));
    if (!row.is_null(14))
        message.last_dispatched_at = try_parse_iso8601(row.text(14));
    return found.is_none();
}

StoredMessage read_kept_message(const Query& row) {
    StoredMessage message;
    message.message_id = Uuid::try_parse(row.text(0)).value_or(Uuid{});
    message.topic = row.text(1);
    message.type = row.text(2);
    message.aggregate_id = AggregateId(row.text(3));
    message.correlation_id = Uuid::try_parse(row.text(4)).value_or(message.message_id);
    message.payload = row.text(5);
    try {
        message.headers = read_headers(row.text(6));
    } catch (const Error&) {  // a message that was taken in once is not lost over its headers
        message.headers.clear();
    }
    message.created_at = try_parse_iso8601(row.text(7)).value_or(Timestamp{});
    message.stored_at = try_parse_iso8601(row.text(8)).value_or(Timestamp{});
    message.sequence = row.integer(9);
    return message;
}

}  // namespace txm::sqlite::detail
