#include "stores/dynamodb/feed_index.hpp"

#include "stores/dynamodb/outbox_row.hpp"

#include <optional>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

// When the store took it; of what another program wrote, when that says it was made. A time in the future says nothing.
bool is_old(const Item& row, Timestamp latest, Timestamp present) {
    const std::string* text = text_of(row, "StoredAt");
    if (!text)
        text = text_of(row, "CreatedAt");
    const std::optional<Timestamp> time = text ? try_parse_iso8601(*text) : std::nullopt;
    return !time || *time <= latest || *time > present;
}

}  // namespace

boost::asio::awaitable<std::vector<std::string>> FeedIndex::next_page(std::chrono::milliseconds min_age,
                                                                      std::size_t limit) {
    Item values;
    values.emplace(":pending", not_dispatched);
    Query query{tables_.outbox, "NotDispatched = :pending", std::move(values)};
    query.index = "NotDispatchedMessagesIndex";
    query.consistent = false;
    query.limit = limit;
    const Timestamp present = now();
    Page page = co_await db_.read_page(query, next_);
    next_ = std::move(page.last_key);
    std::vector<std::string> keys;
    for (const Item& row : page.items) {
        const std::string* key = text_of(row, "PK");
        if (key && is_old(row, present - min_age, present))
            keys.push_back(*key);
    }
    co_return keys;
}

}  // namespace txm::dynamodb::detail
