#include "stores/dynamodb/table_shape.hpp"

#include "stores/dynamodb/json.hpp"
#include "stores/dynamodb/table_name.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

namespace json = boost::json;

void append_keys(std::string& out, const std::string& hash, const std::string& range) {
    out.append(R"("KeySchema":[{"AttributeName":")").append(hash).append(R"(","KeyType":"HASH"})");
    if (!range.empty())
        out.append(R"(,{"AttributeName":")").append(range).append(R"(","KeyType":"RANGE"})");
    out += ']';
}

const json::array& array_in(const json::object& object, std::string_view name) {
    static const json::array none;
    const json::value* value = object.if_contains({name.data(), name.size()});
    return value && value->is_array() ? value->get_array() : none;
}

const json::object& object_in(const json::object& object, std::string_view name) {
    static const json::object none;
    const json::value* value = object.if_contains({name.data(), name.size()});
    return value && value->is_object() ? value->get_object() : none;
}

std::string described_keys(const std::string& hash, const std::string& range) {
    return range.empty() ? "the hash key " + hash : "the hash key " + hash + " and the range key " + range;
}

std::string keys_of(const json::object& described) {
    std::string hash, range;
    for (const json::value& key : array_in(described, "KeySchema"))
        (text_in(key.as_object(), "KeyType") == "HASH" ? hash : range) = text_in(key.as_object(), "AttributeName");
    return described_keys(hash, range);
}

void check_keys(std::vector<std::string>& found, const std::string& what, const std::string& hash,
                const std::string& range, const json::object& described) {
    const std::string wanted = described_keys(hash, range), given = keys_of(described);
    if (wanted != given)
        found.push_back(what + " has " + given + " instead of " + wanted);
}

void check_index(std::vector<std::string>& found, const IndexShape& index, const json::object& described) {
    const json::array& indexes = array_in(described, "GlobalSecondaryIndexes");
    const auto* const match = std::find_if(indexes.begin(), indexes.end(), [&](const json::value& other) {
        return text_in(other.as_object(), "IndexName") == index.name;
    });
    if (match == indexes.end()) {
        found.push_back("it has no index " + index.name + " with " + described_keys(index.hash, index.range));
        return;
    }
    const json::object& there = match->as_object();
    check_keys(found, "its index " + index.name, index.hash, index.range, there);
    if (const auto projected = text_in(object_in(there, "Projection"), "ProjectionType"); projected != "ALL")
        found.push_back("its index " + index.name + " projects " + std::string(projected) + " instead of ALL");
}

}  // namespace

TableShape outbox_shape(const std::string& table) {
    TableShape shape{checked_table_name(table), "PK", {}, {}, true, true};
    shape.indexes = {{"CorrelationIdIndex", "CorrelationId", {}},
                     {"AggregateIdIndex", "AggregateId", {}},
                     {"NotDispatchedMessagesIndex", "NotDispatched", "CreatedAt"}};
    return shape;
}

TableShape inbox_shape(const std::string& table) {
    return {checked_table_name(table), "PK", {}, {}, false, true};
}

TableShape state_shape(const std::string& table) {
    return {checked_table_name(table), "PK", "SK", {}, false, true};
}

std::vector<std::string> key_attributes(const TableShape& shape) {
    std::vector<std::string> names;
    const auto add = [&names](const std::string& name) {
        if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end())
            names.push_back(name);
    };
    add(shape.hash);
    add(shape.range);
    for (const IndexShape& index : shape.indexes) {
        add(index.hash);
        add(index.range);
    }
    return names;
}

std::string create_request(const TableShape& shape) {
    std::string out = R"({"TableName":)";
    append_text(out, shape.name);
    out += R"(,"BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[)";
    const char* separator = "";
    for (const std::string& name : key_attributes(shape)) {
        out += std::exchange(separator, ",");
        out.append(R"({"AttributeName":")").append(name).append(R"(","AttributeType":"S"})");
    }
    out += "],";
    append_keys(out, shape.hash, shape.range);
    if (!shape.indexes.empty()) {
        out += R"(,"GlobalSecondaryIndexes":[)";
        separator = "";
        for (const IndexShape& index : shape.indexes) {
            out += std::exchange(separator, ",");
            out.append(R"({"IndexName":")").append(index.name).append("\",");
            append_keys(out, index.hash, index.range);
            out += R"(,"Projection":{"ProjectionType":"ALL"}})";
        }
        out += ']';
    }
    if (shape.has_stream)
        out += R"(,"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"})";
    out += '}';
    return out;
}

bool has_replicas(const json::object& described) {
    return !array_in(described, "Replicas").empty();
}

std::vector<std::string> differences(const TableShape& shape, const json::object& described) {
    std::vector<std::string> found;
    check_keys(found, "it", shape.hash, shape.range, described);
    const std::vector<std::string> keys = key_attributes(shape);
    for (const json::value& definition : array_in(described, "AttributeDefinitions")) {
        const std::string name{text_in(definition.as_object(), "AttributeName")};
        const std::string_view type = text_in(definition.as_object(), "AttributeType");
        if (type != "S" && std::find(keys.begin(), keys.end(), name) != keys.end())
            found.push_back("its key attribute " + name + " is of type " + std::string(type) + " instead of S");
    }
    for (const IndexShape& index : shape.indexes)
        check_index(found, index, described);
    const json::object& stream = object_in(described, "StreamSpecification");
    if (const auto view = text_in(stream, "StreamViewType");
        shape.has_stream && !view.empty() && view != "NEW_AND_OLD_IMAGES")
        found.push_back("its stream shows " + std::string(view) + " instead of NEW_AND_OLD_IMAGES");
    return found;
}

}  // namespace txm::dynamodb::detail
