#pragma once

#include "sqlite/connection.hpp"
#include "txm/admin.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace txm::sqlite::detail {

/// What an operator does with what one consumer decided or keeps, one bounded step at a time.
class InboxAdmin {
public:
    InboxAdmin(std::string_view inbox_table, std::string_view consumer);

    /// Where the next page begins: in the inbox, or behind it in the parked deliveries.
    struct Position {
        bool is_in_parked = false;
        std::string after{};
    };
    struct Page {
        std::vector<ListedDelivery> deliveries;
        Position next;
        bool is_at_end = false;
    };

    /// `state` is processed, dead, skipped, parked or empty. By message_id; parked ones last.
    Page list(Connection& connection, const std::string& state, const MessageFilter& filter, Position position,
              std::size_t limit) const;

    // In the caller's transaction: dead letters and parked deliveries. Give the number of messages; fewer than the limit at
    // the end. `after` is the message_id where the last step ended and is moved on.
    std::size_t replay(Connection& connection, const MessageFilter& filter, std::string& after,
                       std::size_t limit) const;
    std::size_t skip(Connection& connection, const MessageFilter& filter, std::string& after, std::size_t limit) const;

private:
    struct Selected {
        std::string message_id, topic, aggregate_id;
        bool is_dead;
    };
    std::vector<Selected> select(Connection& connection, const MessageFilter& filter, const std::string& after,
                                 std::size_t limit) const;
    void list_decided(Connection& connection, const std::string& state, const MessageFilter& filter, Page& page,
                      std::size_t limit) const;
    void list_parked(Connection& connection, const MessageFilter& filter, Page& page, std::size_t limit) const;

    std::string inbox_, consumer_, source_;
};

}  // namespace txm::sqlite::detail
