#pragma once

#include "txm/dynamodb.hpp"

#include <exception>
#include <optional>
#include <string>

namespace txm::dynamodb::detail {

/// What a transaction needs to know of a Write, which tells it nobody else.
class WriteText {
public:
    /// What it writes to: an item of a put, a key of the others.
    struct Target {
        std::string table;
        Item item;
        bool is_put = false;
    };

    /// @throws std::invalid_argument for one that no transaction can take
    static void check(const Write& write);
    /// Appends the element of TransactItems.
    static void append(std::string& out, const Write& write);
    static const std::exception_ptr& error(const Write& write) noexcept { return write.error_; }
    /// None for a raw one that cannot be told.
    static std::optional<Target> target(const Write& write);
    /// Such as: the update of {"PK":{"S":"a"}} in the table `accounts`
    static std::string description(const Write& write);
    /// Both are empty for a raw one.
    static const std::string& table(const Write& write) noexcept { return write.table_; }
    static const std::string& condition(const Write& write) noexcept { return write.condition_; }
};

}  // namespace txm::dynamodb::detail
