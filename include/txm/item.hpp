#pragma once

#include "txm/message.hpp"
#include "txm/statement.hpp"

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace txm::dynamodb {

class Attribute;

/// Attributes by name: an item, a key, or the values of placeholders.
using Item = std::map<std::string, Attribute, std::less<>>;

/// A value of an item. Numbers are kept as their text, exactly as DynamoDB keeps them.
class Attribute {
public:
    struct Number {
        std::string text;
        friend bool operator==(const Number&, const Number&) = default;
    };
    struct StringSet {
        std::vector<std::string> values;
        friend bool operator==(const StringSet&, const StringSet&) = default;
    };
    struct NumberSet {
        std::vector<std::string> values;
        friend bool operator==(const NumberSet&, const NumberSet&) = default;
    };
    struct BinarySet {
        std::vector<Blob> values;
        friend bool operator==(const BinarySet&, const BinarySet&) = default;
    };
    using List = std::vector<Attribute>;
    using Value =
        std::variant<std::monostate, bool, Number, std::string, Blob, List, Item, StringSet, NumberSet, BinarySet>;

    Attribute() = default;  ///< NULL
    Attribute(bool value) : value_(value) {}
    template <class T>
        requires(std::integral<T> && !std::same_as<T, bool>)
    Attribute(T value) : value_(Number{std::to_string(value)}) {}
    Attribute(double value);
    Attribute(Number number) : value_(std::move(number)) {}
    Attribute(std::string text) : value_(std::move(text)) {}
    Attribute(std::string_view text) : value_(std::string(text)) {}
    Attribute(const char* text) : value_(std::string(text)) {}
    Attribute(const Uuid& id) : value_(id.to_string()) {}
    Attribute(const AggregateId& id) : value_(id.str()) {}
    Attribute(Timestamp time);  ///< text, ISO 8601 as in the outbox: `2023-11-02T10:15:30.123456+00:00`
    Attribute(Blob bytes) : value_(std::move(bytes)) {}
    Attribute(List values) : value_(std::move(values)) {}
    Attribute(Item values) : value_(std::move(values)) {}
    Attribute(StringSet values) : value_(std::move(values)) {}
    Attribute(NumberSet values) : value_(std::move(values)) {}
    Attribute(BinarySet values) : value_(std::move(values)) {}

    const Value& value() const noexcept { return value_; }

    bool is_null() const noexcept { return value_.index() == 0; }
    /// @throws std::invalid_argument when it is of another type
    const std::string& text() const;
    std::int64_t integer() const;
    double number() const;
    bool boolean() const;

    friend bool operator==(const Attribute&, const Attribute&) = default;

private:
    Value value_;
};

/// A key of one attribute, or of two. In a `co_await` expression use it instead of `{{"PK", id}}`, which GCC 12 cannot compile
/// there.
inline Item key(std::string name, Attribute value) {
    Item item;
    item.emplace(std::move(name), std::move(value));
    return item;
}
inline Item key(std::string hash_name, Attribute hash, std::string range_name, Attribute range) {
    Item item = key(std::move(hash_name), std::move(hash));
    item.emplace(std::move(range_name), std::move(range));
    return item;
}

}  // namespace txm::dynamodb
