#include "stores/dynamodb/feed_rows.hpp"

#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "stores/dynamodb/together.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// Two keys a row, 100 a request.
constexpr std::size_t rows_of_a_request = 50;

FeedRow row_of(const FeedTables& tables, const std::string& row_key, const std::optional<Item>& row,
               const std::optional<Item>& state) {
    FeedRow result;
    const std::string* mark = row ? text_of(*row, "NotDispatched") : nullptr;
    Candidate& candidate = result.candidate = mark ? candidate_of(*row, tables.max_payload) : candidate_of(row_key);
    candidate.has_state = state.has_value();
    if (state) {
        candidate.message.attempts = static_cast<int>(integer_of(*state, "Attempts"));
        candidate.message.replays = static_cast<int>(integer_of(*state, "Replays"));
    }
    if (!mark)
        return result;
    candidate.is_checked = true;
    result.state = *mark == not_dispatched_parked ? RowState::parked
                   : *mark == not_dispatched_dead ? RowState::dead
                                                  : RowState::pending;
    if (state) {
        const std::string* name = text_of(*state, "State");
        // Where the row itself tells it, it is the row that a program set back by hand.
        if (tables.compat && name)
            result.state = *name == "parked" ? RowState::parked : RowState::dead;
    }
    candidate.is_parked = result.state == RowState::parked;
    if (candidate.is_parked && candidate.message.state == MessageState::pending)
        candidate.message.state = MessageState::parked;
    return result;
}

boost::asio::awaitable<void> read_some(DatabaseImpl& db, const FeedTables& tables, std::span<const std::string> keys,
                                       std::span<FeedRow> rows) {
    std::vector<TableKey> asked;
    asked.reserve(2 * keys.size());
    for (const std::string& key : keys) {
        Item row_key;
        row_key.emplace("PK", key);
        asked.emplace_back(tables.outbox, std::move(row_key));
        asked.emplace_back(tables.state, message_state_key(message_id_of(key)));
    }
    const std::vector<std::optional<Item>> items = co_await db.get_items(asked);
    for (std::size_t i = 0; i < keys.size(); ++i)
        rows[i] = row_of(tables, keys[i], items[2 * i], items[2 * i + 1]);
}

}  // namespace

boost::asio::awaitable<std::vector<FeedRow>> read_rows(DatabaseImpl& db, const FeedTables& tables,
                                                       std::vector<std::string> row_keys) {
    std::vector<FeedRow> rows(row_keys.size());
    const std::span<const std::string> keys{row_keys};
    const std::span<FeedRow> results{rows};
    std::vector<boost::asio::awaitable<void>> requests;
    for (std::size_t first = 0; first < keys.size(); first += rows_of_a_request) {
        const std::size_t size = std::min(rows_of_a_request, keys.size() - first);
        requests.push_back(read_some(db, tables, keys.subspan(first, size), results.subspan(first, size)));
    }
    co_await together(std::move(requests));
    co_return rows;
}

}  // namespace txm::dynamodb::detail
