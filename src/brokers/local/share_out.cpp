#include "brokers/local/share_out.hpp"

#include <algorithm>

namespace txm::local::detail {

Changes share_out(int self, std::span<const int> members, const Owners& owners) {
    Changes changes;
    const auto me = std::ranges::find(members, self);
    if (me == members.end())
        return changes;
    const std::size_t rank = static_cast<std::size_t>(me - members.begin());
    const std::size_t share = partition_count / members.size() + (rank < partition_count % members.size() ? 1 : 0);

    std::vector<int> mine, free;
    for (int p = 0; p < partition_count; ++p) {
        const auto& owner = owners[static_cast<std::size_t>(p)];
        if (owner == self)
            mine.push_back(p);
        else if (!owner || std::ranges::find(members, *owner) == members.end())
            free.push_back(p);
    }
    if (mine.size() > share) {
        changes.give.assign(mine.begin() + static_cast<std::ptrdiff_t>(share), mine.end());
    } else {
        free.resize(std::min(free.size(), share - mine.size()));
        changes.take = std::move(free);
    }
    return changes;
}

}  // namespace txm::local::detail
