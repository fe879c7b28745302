#pragma once

#include "txm/item.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <string_view>

/// DynamoDB's typed JSON, such as `{"S":"text"}`: written straight into the bytes of a request.
namespace txm::dynamodb::detail {

void append_json(std::string& out, const Attribute& value);

/// An item or key: `{"PK":{"S":"text"},…}`.
void append_json(std::string& out, const Item& item);

/// Appends `"text"`, with escapes.
void append_text(std::string& out, std::string_view text);

/// @throws Error(store_unavailable) for what is no typed JSON
Attribute attribute_from(const boost::json::value& json);
Item item_from(const boost::json::object& json);

/// The body of an answer. @throws Error(store_unavailable) when it is no JSON object
boost::json::object parse_object(std::string_view body);

/// The text of a member; empty when there is none, or when it is none.
std::string_view text_in(const boost::json::object& object, std::string_view name) noexcept;

/// How many bytes DynamoDB counts for an item: names, and values as they are stored.
/// (Amazon DynamoDB Developer Guide, "DynamoDB item sizes and formats")
std::size_t size_of(const Item& item);

}  // namespace txm::dynamodb::detail
