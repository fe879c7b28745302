#pragma once

#include "txm/dynamodb.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace txm::dynamodb::detail {

/// An inbox row to be written.
struct InboxRow {
    InboxRow(std::string table_name, const Incoming& message, std::string consumer_name,
             std::optional<std::chrono::seconds> kept)
        : table(std::move(table_name)), consumer(std::move(consumer_name)), incoming(message), retention(kept) {}

    bool is_same(const InboxRow& other) const noexcept {
        return incoming.message_id == other.incoming.message_id && consumer == other.consumer && table == other.table;
    }

    std::string table, consumer;
    Incoming incoming;
    std::optional<std::chrono::seconds> retention;
};

/// `MESSAGE#<id>`, or `MESSAGE#<id>#<consumer>` for a named consumer.
std::string inbox_key_text(const Uuid& message_id, const std::string& consumer);
Item inbox_key(const Uuid& message_id, const std::string& consumer);

/// The inbox may have forgotten messages that were stored up to that time.
Timestamp window_start(std::chrono::seconds retention, Timestamp at);
/// Whether the inbox may have forgotten that it knew the message.
bool is_outside_window(const InboxRow& row, Timestamp at);

/// Appends the element of TransactItems that writes it. It returns what is there when its condition fails.
void append_inbox_put(std::string& out, const InboxRow& row, Timestamp at);

/// What a row says. @throws Error(invalid_message)
ProcessedMessage processed_message(const Uuid& message_id, const Item& row);

/// What it means that `row` could not be written because of `there`, which is empty when it is not known.
std::exception_ptr inbox_error(const InboxRow& row, const Item& there);

}  // namespace txm::dynamodb::detail
