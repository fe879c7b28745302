#include "stores/dynamodb/feed_candidate.hpp"

#include "stores/dynamodb/outbox_row.hpp"

#include <optional>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// What the keys of a lane leave of the 1,024 bytes that DynamoDB allows.
constexpr std::size_t longest_aggregate_id = 900;

std::optional<Uuid> id_in(std::string_view row_key) {
    constexpr std::string_view prefix = "MESSAGE#";
    if (!row_key.starts_with(prefix))
        return std::nullopt;
    const std::optional<Uuid> id = Uuid::try_parse(row_key.substr(prefix.size()));
    return id && !id->is_nil() ? id : std::nullopt;
}

}  // namespace

Uuid message_id_of(std::string_view row_key) {
    if (const std::optional<Uuid> id = id_in(row_key))
        return *id;
    return derived_uuid(Uuid{}, row_key);
}

Candidate candidate_of(std::string row_key) {
    Candidate candidate;
    candidate.message.message_id = message_id_of(row_key);
    candidate.row_key = std::move(row_key);
    candidate.found_at = std::chrono::steady_clock::now();
    return candidate;
}

void let_payload_go(Candidate& candidate) {
    // Swapped: a text that is cleared, or assigned a short one, keeps its memory.
    std::string{}.swap(candidate.message.payload);
    Headers{}.swap(candidate.message.headers);
}

Candidate candidate_of(const Item& row, std::size_t max_payload) {
    const std::string* row_key = text_of(row, "PK");
    Candidate candidate = candidate_of(row_key ? *row_key : std::string{});
    StoredMessage& message = candidate.message;
    const Uuid id = message.message_id;
    std::string problem;
    bool is_good = read_outbox_row(row, max_payload, message, problem);
    if (is_good && message.message_id != id) {
        problem = "its MessageId is not that of its key, '" + candidate.row_key + "'";
        is_good = false;
    }
    message.message_id = id;
    message.state = MessageState::pending;
    if (is_good && message.aggregate_id.str().empty())
        problem = "it has no AggregateId";
    else if (message.aggregate_id.str().size() > longest_aggregate_id)
        problem = "its AggregateId has " + std::to_string(message.aggregate_id.str().size()) +
                  " bytes, more than the limit of " + std::to_string(longest_aggregate_id);
    if (message.aggregate_id.str().empty() || message.aggregate_id.str().size() > longest_aggregate_id)
        message.aggregate_id = AggregateId(id);  // a lane of its own
    if (!problem.empty()) {
        message.state = MessageState::dead;
        message.payload = "it cannot be sent: " + problem;
    }
    if (message.sequence < 0)
        message.sequence = 0;
    candidate.previous = message.sequence > 0 ? previous_message_id(row) : Uuid{};
    candidate.is_read = true;
    return candidate;
}

}  // namespace txm::dynamodb::detail
