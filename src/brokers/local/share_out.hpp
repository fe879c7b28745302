#pragma once

#include "brokers/local/schema.hpp"

#include <array>
#include <optional>
#include <span>
#include <vector>

namespace txm::local::detail {

/// Who has each partition of a topic, by member slot; empty: nobody.
using Owners = std::array<std::optional<int>, partition_count>;

struct Changes {
    std::vector<int> take;
    std::vector<int> give;
};

/// What member `self` should do so that all partitions are shared out evenly: the share of each is 16/n, and one more
/// for the first 16 mod n members. Each member decides alone, from the same table: it takes free partitions up to its
/// share and gives back what it has beyond it. A partition of someone who is not a member counts as free.
/// @param members slots in ascending order
Changes share_out(int self, std::span<const int> members, const Owners& owners);

}  // namespace txm::local::detail
