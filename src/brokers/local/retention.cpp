#include "brokers/local/retention.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace txm::local::detail {
namespace {

constexpr std::chrono::minutes interval{1};
constexpr std::chrono::days without_groups{7};

std::int64_t microseconds(Timestamp time) {
    return time.time_since_epoch().count();
}

/// Each topic by one seek in the index, however many messages it has.
std::vector<std::string> topics_of(Connection& connection) {
    std::vector<std::string> topics;
    auto query = connection.prepare(
        "with recursive t (topic) as (select min(topic) from message union all "
        "select (select min(topic) from message where topic > t.topic) from t where t.topic is not null) "
        "select topic from t where topic is not null");
    while (query.step())
        topics.emplace_back(query.text(0));
    return topics;
}

}  // namespace

bool claim_purge(Connection& connection, Timestamp now) {
    // A clock that was set back must not stop it for long.
    auto update = connection.prepare(
        "update broker_meta set value = ?1 where key = 'purged_at' and (value <= ?1 - ?2 or value > ?1)");
    return update.bind(1, microseconds(now)).bind(2, std::chrono::microseconds{interval}.count()).run() == 1;
}

std::size_t purge(Connection& connection, Timestamp now, std::chrono::seconds retention, std::size_t limit) {
    std::size_t deleted = 0;
    auto settled_to = connection.prepare(
        "select min(floor) from group_partition join consumer_group on id = group_id where topic = ?");
    // The oldest ones only: a message is published after those below it, so whatever is old enough is among them.
    auto remove = connection.prepare(
        "delete from message where offset in (select offset from (select offset, published_at from message "
        "where topic = ?1 and offset <= ?2 order by offset limit ?4) where published_at <= ?3)");
    for (const std::string& topic : topics_of(connection)) {
        if (deleted >= limit)
            break;
        settled_to.reset();
        settled_to.bind(1, std::string_view{topic}).step();
        const bool has_groups = !settled_to.is_null(0);
        const std::int64_t last = has_groups ? settled_to.integer(0) : std::numeric_limits<std::int64_t>::max();
        const std::chrono::seconds age =
            has_groups ? retention : std::max<std::chrono::seconds>(retention, without_groups);
        remove.reset();
        remove.bind(1, std::string_view{topic}).bind(2, last).bind(3, microseconds(now - age));
        deleted += remove.bind(4, static_cast<std::int64_t>(limit - deleted)).run();
    }
    return deleted;
}

}  // namespace txm::local::detail
