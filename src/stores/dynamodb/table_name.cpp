#include "stores/dynamodb/table_name.hpp"

#include <algorithm>
#include <stdexcept>

namespace txm::dynamodb::detail {

std::string checked_table_name(std::string name) {
    const auto is_allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
               c == '-';
    };
    if (name.size() < 3 || name.size() > 255 || !std::all_of(name.begin(), name.end(), is_allowed))
        throw std::invalid_argument(
            "txm: \"" + name.substr(0, 64) +
            "\" cannot be the name of a DynamoDB table: use 3 to 255 letters, digits, `_`, `.` and `-`");
    return name;
}

std::string state_table_name(const std::string& outbox_table, const std::string& given) {
    return checked_table_name(given.empty() ? outbox_table + "-txm" : given);
}

}  // namespace txm::dynamodb::detail
