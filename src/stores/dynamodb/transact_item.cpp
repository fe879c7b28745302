#include "stores/dynamodb/transact_item.hpp"

#include "stores/dynamodb/json.hpp"

#include <set>

namespace txm::dynamodb::detail {
namespace {

bool is_name_character(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void collect_names(std::set<std::string_view>& names, std::string_view expression) {
    for (auto at = expression.find('#'); at != std::string_view::npos; at = expression.find('#', at)) {
        const auto begin = ++at;
        while (at < expression.size() && is_name_character(expression[at]))
            ++at;
        names.insert(expression.substr(begin, at - begin));
    }
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
    out.append(",\"").append(name).append("\":");
    append_text(out, text);
}

// What follows the table's name.
void append_rest(std::string& out, std::string_view what, const Item& item, std::string_view update,
                 const Condition& condition) {
    out.append(",\"").append(what).append("\":");
    append_json(out, item);
    if (!update.empty())
        append_member(out, "UpdateExpression", update);
    if (!condition.expression.empty())
        append_member(out, "ConditionExpression", condition.expression);
    std::set<std::string_view> names;
    collect_names(names, update);
    collect_names(names, condition.expression);
    if (!names.empty()) {
        out += R"(,"ExpressionAttributeNames":{)";
        const char* separator = "";
        for (const std::string_view name : names) {
            out.append(separator).append("\"#").append(name).append("\":\"").append(name).append("\"");
            separator = ",";
        }
        out += '}';
    }
    if (!condition.values.empty()) {
        out += R"(,"ExpressionAttributeValues":)";
        append_json(out, condition.values);
    }
}

std::string element(std::string_view kind, std::string_view table, std::string_view what, const Item& item,
                    std::string_view update, const Condition& condition) {
    std::string out;
    out.reserve(512);
    out.append("{\"").append(kind).append(R"(":{"TableName":")").append(table).append("\"");
    append_rest(out, what, item, update, condition);
    return out.append("}}");
}

}  // namespace

std::string put_element(std::string_view table, const Item& item, const Condition& condition) {
    return element("Put", table, "Item", item, {}, condition);
}

std::string delete_element(std::string_view table, const Item& key, const Condition& condition) {
    return element("Delete", table, "Key", key, {}, condition);
}

std::string check_element(std::string_view table, const Item& key, const Condition& condition) {
    return element("ConditionCheck", table, "Key", key, {}, condition);
}

std::string update_element(std::string_view table, const Item& key, std::string_view update,
                           const Condition& condition) {
    return element("Update", table, "Key", key, update, condition);
}

std::string update_members(std::string_view table, const Item& key, std::string_view update,
                           const Condition& condition) {
    std::string out;
    out.append(R"("TableName":")").append(table).append("\"");
    append_rest(out, "Key", key, update, condition);
    return out;
}

}  // namespace txm::dynamodb::detail
