#include "stores/dynamodb/json.hpp"

#include "core/json_text.hpp"
#include "txm/error.hpp"

#include <openssl/evp.h>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <utility>
#include <variant>

namespace txm::dynamodb::detail {
namespace {

namespace json = boost::json;

[[noreturn]] void refuse() {
    throw Error(Errc::store_unavailable,
                "DynamoDB sent what is no answer of its API: check the endpoint, and what stands between");
}

void append_base64(std::string& out, const Blob& bytes) {
    const std::size_t start = out.size();
    out.resize(start + (bytes.size() + 2) / 3 * 4 + 1);
    const int written =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data() + start),
                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    out.resize(start + static_cast<std::size_t>(written));
}

Blob blob_from(const json::value& value) {
    const auto* text = value.if_string();
    if (!text || text->size() % 4 != 0)
        refuse();
    Blob bytes(text->size() / 4 * 3);
    const int decoded =
        EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                        reinterpret_cast<const unsigned char*>(text->data()), static_cast<int>(text->size()));
    if (decoded < 0)
        refuse();
    const std::size_t padding = text->ends_with("==") ? 2 : text->ends_with("=") ? 1 : 0;
    bytes.resize(static_cast<std::size_t>(decoded) - padding);
    return bytes;
}

std::string string_from(const json::value& value) {
    const auto* text = value.if_string();
    if (!text)
        refuse();
    return {text->data(), text->size()};
}

template <class Element, class Convert>
std::vector<Element> list_from(const json::value& value, Convert convert) {
    const auto* array = value.if_array();
    if (!array)
        refuse();
    std::vector<Element> elements;
    elements.reserve(array->size());
    for (const json::value& element : *array)
        elements.push_back(convert(element));
    return elements;
}

/// Writes `[a,b]`.
template <class Range, class Append>
void append_array(std::string& out, const Range& range, Append append) {
    out += '[';
    const char* separator = "";
    for (const auto& element : range) {
        out += std::exchange(separator, ",");
        append(element);
    }
    out += ']';
}

struct AppendValue {
    std::string& out;

    void operator()(std::monostate) const { out += R"({"NULL":true})"; }
    void operator()(bool value) const { out += value ? R"({"BOOL":true})" : R"({"BOOL":false})"; }
    void operator()(const Attribute::Number& number) const {
        out += R"({"N":)";
        append_text(out, number.text);
        out += '}';
    }
    void operator()(const std::string& text) const {
        out += R"({"S":)";
        append_text(out, text);
        out += '}';
    }
    void operator()(const Blob& bytes) const {
        out += R"({"B":")";
        append_base64(out, bytes);
        out += R"("})";
    }
    void operator()(const Attribute::List& list) const {
        out += R"({"L":)";
        append_array(out, list, [this](const Attribute& element) { append_json(out, element); });
        out += '}';
    }
    void operator()(const Item& map) const {
        out += R"({"M":)";
        append_json(out, map);
        out += '}';
    }
    void operator()(const Attribute::StringSet& set) const { append_texts("SS", set.values); }
    void operator()(const Attribute::NumberSet& set) const { append_texts("NS", set.values); }
    void operator()(const Attribute::BinarySet& set) const {
        out += R"({"BS":)";
        append_array(out, set.values, [this](const Blob& bytes) {
            out += '"';
            append_base64(out, bytes);
            out += '"';
        });
        out += '}';
    }
    void append_texts(std::string_view type, const std::vector<std::string>& texts) const {
        out.append("{\"").append(type).append("\":");
        append_array(out, texts, [this](const std::string& text) { append_text(out, text); });
        out += '}';
    }
};

struct SizeOf {
    std::size_t operator()(std::monostate) const { return 1; }
    std::size_t operator()(bool) const { return 1; }
    std::size_t operator()(const Attribute::Number& number) const { return number.text.size() / 2 + 2; }
    std::size_t operator()(const std::string& text) const { return text.size(); }
    std::size_t operator()(const Blob& bytes) const { return bytes.size(); }
    std::size_t operator()(const Attribute::List& list) const {
        std::size_t size = 3;
        for (const Attribute& element : list)
            size += 1 + std::visit(*this, element.value());
        return size;
    }
    std::size_t operator()(const Item& map) const { return 3 + map.size() + size_of(map); }
    template <class Set>
    std::size_t operator()(const Set& set) const {
        std::size_t size = 0;
        for (const auto& element : set.values)
            size += element.size();
        return size;
    }
};

}  // namespace

void append_text(std::string& out, std::string_view text) {
    txm::detail::json::append_quoted(out, text);
}

void append_json(std::string& out, const Attribute& value) {
    std::visit(AppendValue{out}, value.value());
}

void append_json(std::string& out, const Item& item) {
    out += '{';
    const char* separator = "";
    for (const auto& [name, value] : item) {
        out += std::exchange(separator, ",");
        append_text(out, name);
        out += ':';
        append_json(out, value);
    }
    out += '}';
}

Attribute attribute_from(const json::value& json) {
    const auto* typed = json.if_object();
    if (!typed || typed->size() != 1)
        refuse();
    const std::string_view type{typed->begin()->key().data(), typed->begin()->key().size()};
    const json::value& value = typed->begin()->value();
    if (type == "S")
        return string_from(value);
    if (type == "N")
        return Attribute::Number{string_from(value)};
    if (type == "BOOL") {
        if (!value.is_bool())
            refuse();
        return value.get_bool();
    }
    if (type == "M") {
        if (!value.is_object())
            refuse();
        return item_from(value.get_object());
    }
    if (type == "L")
        return list_from<Attribute>(value, attribute_from);
    if (type == "NULL")
        return {};
    if (type == "B")
        return blob_from(value);
    if (type == "SS")
        return Attribute::StringSet{list_from<std::string>(value, string_from)};
    if (type == "NS")
        return Attribute::NumberSet{list_from<std::string>(value, string_from)};
    if (type == "BS")
        return Attribute::BinarySet{list_from<Blob>(value, blob_from)};
    refuse();
}

Item item_from(const json::object& json) {
    Item item;
    for (const auto& member : json)
        item.emplace(std::string(member.key().data(), member.key().size()), attribute_from(member.value()));
    return item;
}

json::object parse_object(std::string_view body) {
    json::error_code error;
    json::value value = json::parse({body.data(), body.size()}, error);
    if (error || !value.is_object())
        refuse();
    return std::move(value.get_object());
}

std::string_view text_in(const json::object& object, std::string_view name) noexcept {
    const json::value* value = object.if_contains({name.data(), name.size()});
    const json::string* text = value ? value->if_string() : nullptr;
    return text ? std::string_view(text->data(), text->size()) : std::string_view{};
}

std::size_t size_of(const Item& item) {
    std::size_t size = 0;
    for (const auto& [name, value] : item)
        size += name.size() + std::visit(SizeOf{}, value.value());
    return size;
}

}  // namespace txm::dynamodb::detail
