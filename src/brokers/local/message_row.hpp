#pragma once

#include "brokers/local/schema.hpp"
#include "txm/message.hpp"
#include "txm/subscription.hpp"

#include <array>
#include <span>
#include <string>
#include <vector>

namespace txm::local::detail {

/// Inserts messages, several rows a statement: what SQLite does once per statement (the counter of offsets, the
/// program's start) is then a small part of the cost. A known dedup_id is passed over.
/// *Thread safety*: one thread at a time.
class MessageInserter {
public:
    /// In the open transaction. Texts are bound without a copy.
    void insert(Connection& connection, std::span<const StoredMessage* const> messages, Timestamp published_at);

private:
    static constexpr std::size_t rows_per_statement = 16;

    struct Scratch {
        std::array<char, 48> dedup_id;
        std::array<char, 36> correlation_id;
        std::string headers;
    };

    void insert_rows(sqlite::detail::Query& query, std::span<const StoredMessage* const> rows,
                     std::int64_t published_at);

    std::array<Scratch, rows_per_statement> scratch_;
};

/// The columns that read_delivery() reads.
inline constexpr const char* delivery_columns =
    "m.offset, m.partition, m.dedup_id, m.aggregate_id, m.correlation_id, m.type, m.payload, m.headers, m.created_at, "
    "m.stored_at, m.sequence, m.replays";

/// A row of delivery_columns. @throws Error(store_unavailable) for a row that this broker cannot have written
Delivery read_delivery(const sqlite::detail::Query& row, const std::string& topic);

}  // namespace txm::local::detail
