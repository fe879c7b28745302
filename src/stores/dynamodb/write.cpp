#include "core/json_text.hpp"
#include "core/utf8.hpp"
#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/table_name.hpp"
#include "stores/dynamodb/write_text.hpp"
#include "txm/error.hpp"

#include <boost/json/parse.hpp>

#include <array>
#include <stdexcept>
#include <utility>

namespace txm::dynamodb {

Write::Write(Kind kind, std::string table, Item item, std::string expression)
    : kind_(kind), table_(std::move(table)), item_(std::move(item)), expression_(std::move(expression)) {}

Write Write::put(std::string table, Item item) {
    return {Kind::put, std::move(table), std::move(item), {}};
}

Write Write::update(std::string table, Item key, std::string expression) {
    return {Kind::update, std::move(table), std::move(key), std::move(expression)};
}

Write Write::remove(std::string table, Item key) {
    return {Kind::remove, std::move(table), std::move(key), {}};
}

Write Write::check(std::string table, Item key) {
    return {Kind::check, std::move(table), std::move(key), {}};
}

Write Write::raw(std::string json) {
    return {Kind::raw, {}, {}, std::move(json)};
}

Write&& Write::values(Item placeholders) && {
    values_ = std::move(placeholders);
    return std::move(*this);
}

Write&& Write::names(std::vector<std::pair<std::string, std::string>> placeholders) && {
    names_ = std::move(placeholders);
    return std::move(*this);
}

Write&& Write::when(std::string condition, std::exception_ptr error) && {
    condition_ = std::move(condition);
    error_ = std::move(error);
    return std::move(*this);
}

namespace detail {
namespace {

struct Words {
    std::string_view element, noun;
};

// In the order of Write::Kind.
constexpr std::array<Words, 4> words{
    {{"Put", "put"}, {"Update", "update"}, {"Delete", "removal"}, {"ConditionCheck", "check"}}};

void append_member(std::string& out, std::string_view name, const std::string& text) {
    out.append(",\"").append(name).append("\":");
    append_text(out, text);
}

}  // namespace

void WriteText::check(const Write& write) {
    if (write.kind_ == Write::Kind::raw) {
        if (!write.condition_.empty())
            throw std::invalid_argument(
                "txm: a raw write has its condition in its own text: give when() an empty one, and the error");
        try {
            txm::detail::json::Cursor cursor{write.expression_};
            if (!cursor.value().starts_with('{'))
                throw std::invalid_argument("txm: a raw write is one JSON object, such as {\"Put\":{…}}");
            cursor.expect_end();
        } catch (const Error& error) {
            throw std::invalid_argument("txm: the raw write is " + std::string(error.what()));
        }
        return;
    }
    checked_table_name(write.table_);
    if (write.item_.empty())
        throw std::invalid_argument("txm: a write to the table `" + write.table_ + "` names no item: give its key");
    if (write.kind_ == Write::Kind::check && write.condition_.empty())
        throw std::invalid_argument("txm: check() of an item in `" + write.table_ +
                                    "` needs a condition: add .when(\"…\", error)");
}

void WriteText::append(std::string& out, const Write& write) {
    if (write.kind_ == Write::Kind::raw) {
        out += write.expression_;
        return;
    }
    const bool is_put = write.kind_ == Write::Kind::put;
    out.append("{\"").append(words[static_cast<std::size_t>(write.kind_)].element).append(R"(":{"TableName":")");
    out.append(write.table_).append(is_put ? R"(","Item":)" : R"(","Key":)");
    append_json(out, write.item_);
    if (!write.expression_.empty())
        append_member(out, "UpdateExpression", write.expression_);
    if (!write.condition_.empty())
        append_member(out, "ConditionExpression", write.condition_);
    if (!write.names_.empty()) {
        out += R"(,"ExpressionAttributeNames":{)";
        const char* separator = "";
        for (const auto& [placeholder, name] : write.names_) {
            out += std::exchange(separator, ",");
            append_text(out, placeholder);
            out += ':';
            append_text(out, name);
        }
        out += '}';
    }
    if (!write.values_.empty()) {
        out += R"(,"ExpressionAttributeValues":)";
        append_json(out, write.values_);
    }
    out += "}}";
}

std::optional<WriteText::Target> WriteText::target(const Write& write) {
    if (write.kind_ != Write::Kind::raw)
        return Target{write.table_, write.item_, write.kind_ == Write::Kind::put};
    try {
        const boost::json::object element = parse_object(write.expression_);
        if (element.size() != 1 || !element.begin()->value().is_object())
            return std::nullopt;
        const boost::json::object& members = element.begin()->value().get_object();
        const auto* item = members.if_contains("Item");
        const auto* key = item ? item : members.if_contains("Key");
        if (!key || !key->is_object())
            return std::nullopt;
        return Target{std::string(text_in(members, "TableName")), item_from(key->get_object()), item != nullptr};
    } catch (const Error&) {
        return std::nullopt;  // the service will say what is wrong with it
    }
}

std::string WriteText::description(const Write& write) {
    constexpr std::size_t shown = 200;
    const std::optional<Target> to = target(write);
    std::string text = "the ";
    if (!to)
        return text.append("raw write ").append(txm::detail::utf8_prefix(write.expression_, shown));
    std::string key;
    append_json(key, to->item);
    if (key.size() > shown)
        key.erase(txm::detail::utf8_prefix(key, shown).size()).append("…");
    const bool is_raw = write.kind_ == Write::Kind::raw;
    text.append(is_raw ? "raw write" : words[static_cast<std::size_t>(write.kind_)].noun);
    return text.append(" of ").append(key).append(" in the table `").append(to->table).append("`");
}

}  // namespace detail
}  // namespace txm::dynamodb
