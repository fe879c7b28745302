#pragma once

#include "txm/item.hpp"

#include <string>
#include <string_view>

/// Elements of a TransactWriteItems request, as JSON text. Conditions and expressions use placeholders as DynamoDB has them:
/// `:name` for values, `#Name` for the attribute Name, whose own name may be a reserved word.
namespace txm::dynamodb::detail {

struct Condition {
    Condition() = default;
    explicit Condition(std::string_view text, Item placeholder_values = {})
        : expression(text), values(std::move(placeholder_values)) {}

    std::string_view expression{};
    Item values{};
};

std::string put_element(std::string_view table, const Item& item, const Condition& condition = Condition{});
std::string delete_element(std::string_view table, const Item& key, const Condition& condition = Condition{});
std::string check_element(std::string_view table, const Item& key, const Condition& condition);
/// @param condition its values are those of the update expression, too
std::string update_element(std::string_view table, const Item& key, std::string_view update,
                           const Condition& condition);

/// The members that these have in common with a request of its own, without braces: `"TableName":"…",…`.
std::string update_members(std::string_view table, const Item& key, std::string_view update,
                           const Condition& condition);

}  // namespace txm::dynamodb::detail
