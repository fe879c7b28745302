#include "brokers/local/schema.hpp"
#include "brokers/local/unavailable.hpp"
#include "txm/error.hpp"
#include "txm/local.hpp"

#include <algorithm>
#include <filesystem>

namespace txm::local {
namespace {

std::vector<GroupStatus> read_status(detail::Connection& connection) {
    std::vector<GroupStatus> groups;
    auto query = connection.prepare(
        "select g.topic, g.name, count(m.offset), min(m.published_at) from consumer_group g "
        "join group_partition p on p.group_id = g.id "
        "left join message m on m.topic = g.topic and m.partition = p.partition and m.offset > p.floor "
        "and m.offset > (select min(floor) from group_partition where group_id = g.id) and not exists "
        "(select 1 from settled s where s.group_id = g.id and s.partition = m.partition and s.offset = m.offset) "
        "group by g.id order by g.topic, g.name");
    while (query.step()) {
        GroupStatus& group = groups.emplace_back();
        group.topic = query.text(0);
        group.group = query.text(1);
        group.lag = static_cast<std::uint64_t>(query.integer(2));
        if (!query.is_null(3)) {
            const Timestamp oldest{Timestamp::duration{query.integer(3)}};
            group.oldest_age =
                std::max(std::chrono::floor<std::chrono::seconds>(now() - oldest), std::chrono::seconds{0});
        }
    }
    return groups;
}

}  // namespace

std::vector<GroupStatus> status(const std::string& path) {
    if (!std::filesystem::exists(path))
        throw Error(Errc::broker_unavailable,
                    "the local broker's file " + path + " does not exist: it is made by the first `txm relay` to it");
    std::exception_ptr error;
    try {
        sqlite::DatabaseOptions options;
        options.create = false;
        detail::Connection connection(path, detail::Connection::Mode::read_only, options);
        if (!detail::has_schema(connection))
            return {};
        return read_status(connection);
    } catch (...) {
        error = detail::as_unavailable(path, std::current_exception());
    }
    std::rethrow_exception(error);
}

}  // namespace txm::local
