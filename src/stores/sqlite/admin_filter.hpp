#pragma once

#include "sqlite/connection.hpp"
#include "txm/admin.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace txm::sqlite::detail {

/// The ids as a JSON array, for json_each().
std::string json_ids(const std::vector<Uuid>& ids);

/// A MessageFilter as conditions of SQL with their parameters.
class FilterSql {
public:
    /// Adds `and` conditions for all but ids, state and limit. `prefix` stands before each column, such as `o.`.
    /// Parameters are numbered from `first` on.
    FilterSql(const MessageFilter& filter, std::string_view prefix, int first);

    const std::string& conditions() const noexcept { return conditions_; }
    /// *Lifetime*: this must outlive the query.
    void bind(Query& query) const;

private:
    void add(std::string_view column, std::string_view op, std::string value);

    std::string prefix_, conditions_;
    std::vector<std::string> values_;
    int first_;
};

}  // namespace txm::sqlite::detail
