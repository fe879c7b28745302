#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace demo {

/// One line of a file of purchases.
struct Purchase {
    std::int64_t line = 0;  ///< counted from 1: the order's id
    std::string customer;
    std::int64_t cents = 0;
};

/// Reads lines of 4 or 5 fields separated by blanks: ids, date (YYYYMMDD), number of CDs, dollars. The customer is the id
/// before the date; all lines have the same number of fields. A line may end in CR LF.
/// @throws std::runtime_error naming the first line that is not like that, and why; or the file that cannot be read
std::vector<Purchase> read_purchases(const std::string& path);

/// `29.33` → 2933: as a decimal, never through floating point; with at most two places.
/// @throws std::invalid_argument when it is not such a number, or 10^13 or more
std::int64_t parse_cents(std::string_view dollars);

}  // namespace demo
