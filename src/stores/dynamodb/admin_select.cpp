#include "stores/dynamodb/admin_select.hpp"

#include "stores/dynamodb/admin_filter.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

std::string_view view_of(const Item& row, std::string_view name) {
    const std::string* text = text_of(row, name);
    return text ? std::string_view(*text) : std::string_view{};
}

/// What of a row is needed to decide whether it is meant.
bool may_be_meant(const MessageFilter& filter, const Item& row, Timestamp stored_at) {
    if (filter.topic && view_of(row, "Topic") != *filter.topic)
        return false;
    if (filter.aggregate_id && view_of(row, "AggregateId") != *filter.aggregate_id)
        return false;
    if (filter.since && stored_at < *filter.since)
        return false;
    return !filter.before || stored_at < *filter.before;
}

class Keys {
public:
    explicit Keys(const MessageFilter& filter) : filter_(filter) {}

    void add(const Item& row) {
        const std::string* key = text_of(row, "PK");
        if (!key)
            return;
        std::optional<Timestamp> stored_at = try_parse_iso8601(view_of(row, "StoredAt"));
        if (!stored_at)
            stored_at = try_parse_iso8601(view_of(row, "CreatedAt"));
        SelectedKey selected;
        selected.stored_at = stored_at.value_or(Timestamp{});
        if (!may_be_meant(filter_, row, selected.stored_at))
            return;
        selected.sequence = integer_of(row, "Sequence");
        selected.lane = std::hash<std::string_view>{}(view_of(row, "AggregateId"));
        selected.row_key = *key;
        keys_.push_back(std::move(selected));
    }

    std::vector<SelectedKey> in_order() && {
        std::ranges::sort(keys_, [](const SelectedKey& a, const SelectedKey& b) {
            return std::tie(a.stored_at, a.sequence, a.row_key) < std::tie(b.stored_at, b.sequence, b.row_key);
        });
        std::unordered_map<std::size_t, std::vector<std::size_t>> places;
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            if (keys_[i].sequence > 0)
                places[keys_[i].lane].push_back(i);
        }
        for (const auto& [lane, of_lane] : places) {
            const auto by_sequence = [&](std::size_t a, std::size_t b) {
                return keys_[a].sequence < keys_[b].sequence;
            };
            if (std::ranges::is_sorted(of_lane, by_sequence))
                continue;
            std::vector<SelectedKey> sorted;
            for (const std::size_t place : of_lane)
                sorted.push_back(std::move(keys_[place]));
            std::ranges::sort(sorted, {}, &SelectedKey::sequence);
            for (std::size_t i = 0; i < of_lane.size(); ++i)
                keys_[of_lane[i]] = std::move(sorted[i]);
        }
        return std::move(keys_);
    }

private:
    const MessageFilter& filter_;
    std::vector<SelectedKey> keys_;
};

awaitable<void> add_rows(DatabaseImpl& db, const std::string& table, const std::vector<std::string>& row_keys,
                         Keys& keys) {
    constexpr std::size_t page = 100;
    for (std::size_t first = 0; first < row_keys.size(); first += page) {
        std::vector<TableKey> wanted;
        for (std::size_t i = first; i < std::min(first + page, row_keys.size()); ++i) {
            Item key;
            key.emplace("PK", row_keys[i]);
            wanted.emplace_back(table, std::move(key));
        }
        const std::vector<std::optional<Item>> rows = co_await db.get_items(wanted);
        for (const std::optional<Item>& row : rows) {
            if (row)
                keys.add(*row);
        }
    }
}

// Of dead letters and members of lanes: the key of the row where it is not that of the id.
std::string row_key_of(const Item& entry) {
    if (const std::string* key = text_of(entry, "RowKey"))
        return *key;
    const std::string* range = text_of(entry, "SK");
    return "MESSAGE#" + (range ? range->substr(range->find('#') + 1) : std::string{});
}

awaitable<std::vector<std::string>> entries_of(DatabaseImpl& db, const std::string& table, std::string partition) {
    Item values;
    values.emplace(":partition", std::move(partition));
    Query query(table, "PK = :partition", std::move(values));
    std::vector<std::string> row_keys;
    Item start;
    do {
        const Page page = co_await db.read_page(query, start);
        for (const Item& entry : page.items)
            row_keys.push_back(row_key_of(entry));
        start = page.last_key;
    } while (!start.empty());
    co_return row_keys;
}

awaitable<std::vector<std::string>> parked_rows(DatabaseImpl& db, const std::string& table) {
    Item values;
    values.emplace(":lanes", "LANE");
    Query query(table, "PK = :lanes", std::move(values));
    const std::vector<Item> lanes = co_await db.read_all(std::move(query));
    std::vector<std::string> row_keys;
    for (const Item& lane : lanes) {
        const std::vector<std::string> members = co_await entries_of(db, table, "PARKED#" + lane.at("SK").text());
        row_keys.insert(row_keys.end(), members.begin(), members.end());
    }
    co_return row_keys;
}

}  // namespace

awaitable<std::vector<SelectedKey>> select_keys(DatabaseImpl& db, AdminTables tables, MessageFilter filter) {
    Keys keys{filter};
    std::vector<std::string> row_keys;
    if (!filter.ids.empty()) {
        for (const Uuid& id : filter.ids)
            row_keys.push_back(key_of(id));
        std::ranges::sort(row_keys);
        row_keys.erase(std::ranges::unique(row_keys).begin(), row_keys.end());
        co_await add_rows(db, tables.outbox, row_keys, keys);
    } else if (filter.state == MessageState::dead) {
        row_keys = co_await entries_of(db, tables.state, "DEAD");
        co_await add_rows(db, tables.outbox, row_keys, keys);
    } else if (filter.state == MessageState::parked) {
        row_keys = co_await parked_rows(db, tables.state);
        co_await add_rows(db, tables.outbox, row_keys, keys);
    } else {
        Query query(tables.outbox, {}, {});
        const auto by_index = [&query](const char* index, const char* condition, Attribute value) {
            query.index = index;
            query.condition = condition;
            query.values.emplace(":value", std::move(value));
            query.consistent = false;
        };
        if (filter.aggregate_id)
            by_index("AggregateIdIndex", "AggregateId = :value", *filter.aggregate_id);
        else if (filter.correlation_id)
            by_index("CorrelationIdIndex", "CorrelationId = :value", *filter.correlation_id);
        else if (filter.state == MessageState::pending)
            by_index("NotDispatchedMessagesIndex", "NotDispatched = :value", not_dispatched);
        Item start;
        do {
            const Page page = co_await db.read_page(query, start);
            for (const Item& row : page.items)
                keys.add(row);
            start = page.last_key;
        } while (!start.empty());
    }
    co_return std::move(keys).in_order();
}

}  // namespace txm::dynamodb::detail
