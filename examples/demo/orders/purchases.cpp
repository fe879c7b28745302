#include "orders/purchases.hpp"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <stdexcept>

namespace demo {

namespace {

constexpr std::string_view blanks = " \t";

bool all_digits(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string_view> split(std::string_view line) {
    std::vector<std::string_view> fields;
    for (auto start = line.find_first_not_of(blanks); start != std::string_view::npos;) {
        const auto end = std::min(line.find_first_of(blanks, start), line.size());
        fields.push_back(line.substr(start, end - start));
        start = line.find_first_not_of(blanks, end);
    }
    return fields;
}

bool is_date(std::string_view text) {
    if (text.size() != 8 || !all_digits(text))
        return false;
    const auto month = text.substr(4, 2), day = text.substr(6, 2);
    return month >= "01" && month <= "12" && day >= "01" && day <= "31";
}

/// @param expected the number of fields of the lines before; 0 when there is none
Purchase parse(std::string_view line, std::size_t& expected) {
    const auto fields = split(line);
    if (fields.size() != 4 && fields.size() != 5)
        throw std::invalid_argument("it has " + std::to_string(fields.size()) + " fields instead of 4 or 5");
    if (expected != 0 && fields.size() != expected)
        throw std::invalid_argument("it has " + std::to_string(fields.size()) + " fields, the lines before it have " +
                                    std::to_string(expected));
    const auto ids = fields.size() - 3;
    for (std::size_t i = 0; i < ids; ++i) {
        if (!all_digits(fields[i]))
            throw std::invalid_argument("the id '" + std::string(fields[i]) + "' is not a number");
    }
    if (!is_date(fields[ids]))
        throw std::invalid_argument("'" + std::string(fields[ids]) + "' is not a date like 19970131");
    if (!all_digits(fields[ids + 1]))
        throw std::invalid_argument("the number of CDs '" + std::string(fields[ids + 1]) + "' is not a number");
    expected = fields.size();
    return Purchase{0, std::string(fields[ids - 1]), parse_cents(fields[ids + 2])};
}

}  // namespace

std::int64_t parse_cents(std::string_view dollars) {
    const auto point = dollars.find('.');
    const auto whole = dollars.substr(0, point);
    const auto places = point == std::string_view::npos ? std::string_view("0") : dollars.substr(point + 1);
    if (!all_digits(whole) || whole.size() > 13 || !all_digits(places) || places.size() > 2)
        throw std::invalid_argument("'" + std::string(dollars) + "' is not an amount like 29.33");
    std::int64_t cents = 0;
    for (const char digit : whole)
        cents = cents * 10 + (digit - '0');
    cents = cents * 10 + (places[0] - '0');
    return cents * 10 + (places.size() == 2 ? places[1] - '0' : 0);
}

std::vector<Purchase> read_purchases(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    std::vector<Purchase> purchases;
    std::string line;
    std::size_t fields = 0;
    while (std::getline(file, line)) {
        if (line.ends_with('\r'))
            line.pop_back();
        const auto number = static_cast<std::int64_t>(purchases.size()) + 1;
        try {
            purchases.push_back(parse(line, fields));
        } catch (const std::invalid_argument& e) {
            throw std::runtime_error(path + ": line " + std::to_string(number) + " is malformed: " + e.what());
        }
        purchases.back().line = number;
    }
    if (!file.is_open() || file.bad())
        throw std::runtime_error(path + ": cannot be read");
    if (purchases.empty())
        throw std::runtime_error(path + ": there is no purchase in it");
    return purchases;
}

}  // namespace demo
