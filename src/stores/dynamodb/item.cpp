#include "txm/item.hpp"

#include "txm/timestamp.hpp"

#include <charconv>
#include <cmath>
#include <stdexcept>
#include <system_error>

namespace txm::dynamodb {
namespace {

template <class T>
const T& get(const Attribute::Value& value, const char* wanted) {
    if (const T* held = std::get_if<T>(&value))
        return *held;
    constexpr const char* names[] = {"NULL", "BOOL", "N", "S", "B", "L", "M", "SS", "NS", "BS"};
    throw std::invalid_argument(std::string("txm: the attribute is of type ") + names[value.index()] + ", not " +
                                wanted);
}

template <class T>
T number_from(const std::string& text) {
    T number{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stop != end)
        throw std::invalid_argument("txm: the number " + text + " does not fit into the type it is read as");
    return number;
}

Attribute::Number number_of(double value) {
    if (!std::isfinite(value))
        throw std::invalid_argument("txm: DynamoDB has no number that is infinite or not a number");
    char text[32];
    const auto [end, error] = std::to_chars(text, text + sizeof text, value);
    return {std::string(text, end)};
}

}  // namespace

Attribute::Attribute(double value) : value_(number_of(value)) {}

Attribute::Attribute(Timestamp time) : value_(to_iso8601(time)) {}

const std::string& Attribute::text() const {
    return get<std::string>(value_, "S");
}

std::int64_t Attribute::integer() const {
    return number_from<std::int64_t>(get<Number>(value_, "N").text);
}

double Attribute::number() const {
    return number_from<double>(get<Number>(value_, "N").text);
}

bool Attribute::boolean() const {
    return get<bool>(value_, "BOOL");
}

}  // namespace txm::dynamodb
