#pragma once

#include "cli/output.hpp"
#include "txm/admin.hpp"

#include <optional>

namespace txm::cli {

/// Prints messages one by one: a table, blocks with every field, or JSON lines.
class MessageOutput {
public:
    MessageOutput(bool json, bool full, bool inbox);

    void add(const ListedMessage& item);
    void add(const ListedDelivery& item);
    void finish();

private:
    void add_block(const StoredMessage* message);
    void add_field(std::string_view name, const std::string& value);

    bool json_, full_;
    std::optional<Table> table_;
    bool is_first_ = true;
};

}  // namespace txm::cli
