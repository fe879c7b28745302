#pragma once

#include "sqlite/connection.hpp"

#include <string>
#include <string_view>

namespace txm::sqlite::detail {

/// The version of the tables that this program makes and understands; stored in txm_meta under `schema_version`.
inline constexpr int schema_version = 1;

/// The tables beside every outbox and inbox, keyed by its name: txm_meta, txm_lease, txm_lane, txm_parked,
/// txm_parked_lane, txm_dead_letter.
std::string shared_schema();

/// The key in txm_meta whose value is the stored_at up to which an inbox may have forgotten messages of a consumer.
std::string purged_to_key(std::string_view inbox_table, std::string_view consumer);

/// `outbox:<table>` and `inbox:<table>`: the column `source` of txm_dead_letter.
std::string outbox_source(std::string_view table);
std::string inbox_source(std::string_view table);

/// @throws Error(schema_missing) saying to run `txm migrate`, Error(schema_too_new)
void check_schema(Connection& connection, const std::string& path);

/// The same, and that `table` is there.
void check_table(Connection& connection, const std::string& path, std::string_view table);

}  // namespace txm::sqlite::detail
