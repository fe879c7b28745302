#pragma once

#include <string>

namespace txm::dynamodb::detail {

/// `name`, when DynamoDB takes it as the name of a table: 3 to 255 of the characters a-z A-Z 0-9 _ . -
/// @throws std::invalid_argument for another
std::string checked_table_name(std::string name);

/// The name of txm's own table beside an outbox: `given`, or else `<outbox>-txm`.
std::string state_table_name(const std::string& outbox_table, const std::string& given);

}  // namespace txm::dynamodb::detail
