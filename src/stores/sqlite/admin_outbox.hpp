#pragma once

#include "sqlite/connection.hpp"
#include "txm/admin.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace txm::sqlite::detail {

/// What an operator does with an outbox, one bounded step at a time: each goes on after the sequence where the last one
/// ended.
class OutboxAdmin {
public:
    explicit OutboxAdmin(std::string_view table);

    struct Page {
        std::vector<ListedMessage> messages;
        Sequence last = 0;
        bool is_at_end = true;
    };
    struct Step {
        std::size_t done = 0;
        Sequence last = 0;
        bool is_at_end = true;
    };

    Page list(Connection& connection, const MessageFilter& filter, Sequence after, std::size_t limit) const;

    // In the caller's transaction.
    Step replay(Connection& connection, const MessageFilter& filter, Sequence after, std::size_t limit) const;
    Step skip(Connection& connection, const MessageFilter& filter, Sequence after, std::size_t limit) const;
    Step purge(Connection& connection, const MessageFilter& filter, Sequence after, std::size_t limit) const;

private:
    struct Selected {
        Sequence sequence;
        std::string message_id, aggregate_id, topic;
        MessageState state;
        int attempts;
    };
    std::string from(const MessageFilter& filter, const std::string& columns, const std::string& condition) const;
    std::vector<Selected> select(Connection& connection, const MessageFilter& filter, const std::string& condition,
                                 Sequence after, std::size_t limit) const;
    static Step step_of(const std::vector<Selected>& selected, std::size_t limit, Sequence after);

    std::string table_, source_;
};

}  // namespace txm::sqlite::detail
