#include "stores/dynamodb/table_name.hpp"
#include "stores/dynamodb/table_shape.hpp"
#include "txm/dynamodb.hpp"

#include <cctype>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace txm::dynamodb {
namespace {

using detail::IndexShape;
using detail::TableShape;

/// `orders-outbox` is the resource OrdersOutbox of CloudFormation.
std::string logical_name(const std::string& table) {
    std::string name;
    bool starts_word = true;
    for (const char c : table) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) {
            starts_word = true;
            continue;
        }
        name += starts_word ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
        starts_word = false;
    }
    return name + "Table";
}

/// `orders-outbox` is the resource orders_outbox of Terraform, whose names begin with a letter or `_`.
std::string resource_name(const std::string& table) {
    std::string name = std::isdigit(static_cast<unsigned char>(table.front())) != 0 ? "_" : "";
    for (const char c : table)
        name += c == '.' ? '_' : c;
    return name;
}

void append_cloudformation_keys(std::string& out, const std::string& indent, const std::string& hash,
                                const std::string& range) {
    out += indent + "KeySchema:\n";
    out += indent + "  - {AttributeName: " + hash + ", KeyType: HASH}\n";
    if (!range.empty())
        out += indent + "  - {AttributeName: " + range + ", KeyType: RANGE}\n";
}

void append_cloudformation(std::string& out, const TableShape& shape) {
    out += "  " + logical_name(shape.name) + ":\n";
    out += "    Type: AWS::DynamoDB::Table\n";
    // What a stack forgets about is not what was published.
    out += "    DeletionPolicy: Retain\n    UpdateReplacePolicy: Retain\n";
    out += "    Properties:\n      TableName: " + shape.name + "\n      BillingMode: PAY_PER_REQUEST\n";
    out += "      AttributeDefinitions:\n";
    for (const std::string& name : detail::key_attributes(shape))
        out += "        - {AttributeName: " + name + ", AttributeType: S}\n";
    append_cloudformation_keys(out, "      ", shape.hash, shape.range);
    if (!shape.indexes.empty())
        out += "      GlobalSecondaryIndexes:\n";
    for (const IndexShape& index : shape.indexes) {
        out += "        - IndexName: " + index.name + "\n";
        append_cloudformation_keys(out, "          ", index.hash, index.range);
        out += "          Projection: {ProjectionType: ALL}\n";
    }
    if (shape.has_stream)
        out += "      StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}\n";
    if (shape.expires)
        out += "      TimeToLiveSpecification: {AttributeName: ExpiresAt, Enabled: true}\n";
}

void append_terraform(std::string& out, const TableShape& shape) {
    out += "resource \"aws_dynamodb_table\" \"" + resource_name(shape.name) + "\" {\n";
    out += "  name         = \"" + shape.name + "\"\n  billing_mode = \"PAY_PER_REQUEST\"\n";
    out += "  hash_key     = \"" + shape.hash + "\"\n";
    if (!shape.range.empty())
        out += "  range_key    = \"" + shape.range + "\"\n";
    if (shape.has_stream)
        out += "\n  stream_enabled   = true\n  stream_view_type = \"NEW_AND_OLD_IMAGES\"\n";
    for (const std::string& name : detail::key_attributes(shape))
        out += "\n  attribute {\n    name = \"" + name + "\"\n    type = \"S\"\n  }\n";
    for (const IndexShape& index : shape.indexes) {
        out += "\n  global_secondary_index {\n    name            = \"" + index.name + "\"\n";
        out += "    hash_key        = \"" + index.hash + "\"\n";
        if (!index.range.empty())
            out += "    range_key       = \"" + index.range + "\"\n";
        out += "    projection_type = \"ALL\"\n  }\n";
    }
    if (shape.expires)
        out += "\n  ttl {\n    attribute_name = \"ExpiresAt\"\n    enabled        = true\n  }\n";
    out += "\n  lifecycle {\n    prevent_destroy = true\n  }\n}\n";
}

}  // namespace

std::string schema(const std::string& language, const std::string& outbox_table, const std::string& inbox_table,
                   const std::string& state_table) {
    const std::vector<TableShape> shapes{detail::outbox_shape(outbox_table), detail::inbox_shape(inbox_table),
                                         detail::state_shape(detail::state_table_name(outbox_table, state_table))};
    std::string text;
    if (language == "cloudformation") {
        text = "AWSTemplateFormatVersion: \"2010-09-09\"\nResources:\n";
        for (const TableShape& shape : shapes)
            append_cloudformation(text, shape);
    } else if (language == "terraform") {
        for (const TableShape& shape : shapes) {
            if (!text.empty())
                text += '\n';
            append_terraform(text, shape);
        }
    } else {
        throw std::invalid_argument("txm: no schema of DynamoDB in \"" + language + "\": cloudformation or terraform");
    }
    return text;
}

}  // namespace txm::dynamodb
