#include "brokers/local/reader.hpp"

#include "brokers/local/message_row.hpp"

#include <algorithm>

namespace txm::local::detail {
namespace {

// What is read ahead of the consumer, beyond one message.
constexpr std::size_t max_bytes = std::size_t{4} << 20;

const std::string scan_statement = std::string("select ") + delivery_columns +
                                   " from message m where m.topic = ?1 and m.offset > ?2 and (?3 >> m.partition) & 1 "
                                   "order by m.offset limit ?4";

// After a takeover, where some of what is above the floors is settled.
const std::string scan_unsettled_statement =
    std::string("select ") + delivery_columns +
    " from message m where m.topic = ?1 and m.offset > ?2 and (?3 >> m.partition) & 1 and not exists "
    "(select 1 from settled s where s.group_id = ?5 and s.partition = m.partition and s.offset = m.offset) "
    "order by m.offset limit ?4";

}  // namespace

std::vector<TopicRows> read_topics(Connection& connection, const std::vector<std::string>& topics,
                                   const GroupIds& groups, const std::vector<TopicScan>& scans, std::size_t max) {
    std::vector<TopicRows> result(scans.size());
    const Offset end = end_offset(connection);
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < scans.size(); ++i) {
        const TopicScan& scan = scans[i];
        TopicRows& read = result[i];
        read.read_to = scan.from;
        if (scan.from >= end || bytes >= max_bytes)
            continue;
        const bool is_settled_there = scan.from < scan.settled_to;
        auto query = connection.prepare(is_settled_there ? scan_unsettled_statement : scan_statement);
        query.bind(1, std::string_view{topics[scan.topic]}).bind(2, scan.from);
        query.bind(3, std::int64_t{scan.partitions}).bind(4, static_cast<std::int64_t>(max));
        if (is_settled_there)
            query.bind(5, groups[scan.topic]);
        bool is_at_end = true;
        while (query.step()) {
            read.rows.push_back(read_delivery(query, topics[scan.topic]));
            bytes += read.rows.back().message.payload.size();
            if (read.rows.size() == max || bytes >= max_bytes) {
                is_at_end = false;
                break;
            }
        }
        if (!read.rows.empty())
            read.read_to = read.rows.back().position;
        // The end was taken first, so nothing up to it can have been missed.
        if (is_at_end)
            read.read_to = std::max(read.read_to, end);
    }
    return result;
}

bool are_settled(Connection& connection, const std::vector<std::string>& topics, const GroupIds& groups, Offset end) {
    auto query = connection.prepare(
        "select exists (select 1 from message m join group_partition p on p.group_id = ?1 and p.partition = "
        "m.partition "
        "where m.topic = ?2 and m.offset <= ?3 and m.offset > (select min(floor) from group_partition where group_id = "
        "?1) "
        "and m.offset > p.floor and not exists "
        "(select 1 from settled s where s.group_id = ?1 and s.partition = m.partition and s.offset = m.offset))");
    for (std::size_t t = 0; t < topics.size(); ++t) {
        query.reset();
        query.bind(1, groups[t]).bind(2, std::string_view{topics[t]}).bind(3, end);
        if (query.step() && query.integer(0) != 0)
            return false;
    }
    return true;
}

}  // namespace txm::local::detail
