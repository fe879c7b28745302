#include "stores/sqlite/admin_outbox.hpp"

#include "stores/sqlite/admin_filter.hpp"
#include "stores/sqlite/feed_row.hpp"
#include "stores/sqlite/lanes.hpp"
#include "stores/sqlite/schema.hpp"

#include <limits>

namespace txm::sqlite::detail {
namespace {

// A page of a list ends there, however few messages it has.
constexpr std::size_t max_page_bytes = std::size_t{4} << 20;

constexpr int first_filter_parameter = 5;

}  // namespace

OutboxAdmin::OutboxAdmin(std::string_view table) : table_(table), source_(outbox_source(table)) {}

// Parameters: 1 the source of dead letters, 2 after, 3 limit, 4 ids; then the filter's.
std::string OutboxAdmin::from(const MessageFilter& filter, const std::string& columns,
                              const std::string& condition) const {
    std::string sql = "select " + columns + " from ";
    const bool is_dead = filter.state == MessageState::dead;
    // Dead letters are found by their own table: no index of the outbox knows them.
    if (is_dead && filter.ids.empty())
        sql += "txm_dead_letter d join \"" + table_ +
               "\" o on o.sequence = d.sequence where d.source = ?1 and d.consumer = '' and "
               "d.sequence > ?2 and ";
    else
        sql += "\"" + table_ +
               "\" o left join txm_dead_letter d on d.source = ?1 and d.consumer = '' and d.message_id = o.message_id "
               "where o.sequence > ?2 and ";
    sql += condition;
    if (filter.state)
        sql += " and o.state = " + std::to_string(static_cast<int>(*filter.state));
    if (!filter.ids.empty())
        sql += " and o.message_id in (select value from json_each(?4))";
    sql += FilterSql{filter, "o.", first_filter_parameter}.conditions();
    return sql + (is_dead && filter.ids.empty() ? " order by d.sequence limit ?3" : " order by o.sequence limit ?3");
}

namespace {

// `ids` and `conditions` must live until the query is done.
void bind_all(Query& query, const MessageFilter& filter, const FilterSql& conditions, const std::string& source,
              Sequence after, std::size_t limit, const std::string& ids) {
    query.bind(1, source).bind(2, after).bind(3, static_cast<std::int64_t>(limit));
    if (!filter.ids.empty())
        query.bind(4, ids);
    conditions.bind(query);
}

}  // namespace

OutboxAdmin::Page OutboxAdmin::list(Connection& connection, const MessageFilter& filter, Sequence after,
                                    std::size_t limit) const {
    const std::string lane = "from txm_lane l where l.outbox = '" + table_ + "' and l.aggregate_id = o.aggregate_id)";
    std::string columns{outbox_row_columns};
    columns.append(", d.reason, d.held, (select l.reason ").append(lane);
    columns.append(", (select coalesce(l.next_attempt_at, '') ").append(lane);
    const FilterSql conditions{filter, "o.", first_filter_parameter};
    const std::string ids = json_ids(filter.ids);
    const std::string sql = from(filter, columns, "1");
    Query query = connection.prepare(sql);
    bind_all(query, filter, conditions, source_, after, limit, ids);
    Page page;
    page.last = after;
    std::size_t bytes = 0;
    while (query.step()) {
        ListedMessage listed;
        std::string problem;
        read_outbox_row(query, std::numeric_limits<std::size_t>::max(), listed.message, problem);
        const bool is_parked = listed.message.state == MessageState::parked;
        const bool is_dead = listed.message.state == MessageState::dead;
        if (is_parked || is_dead)
            listed.reason = query.text(outbox_row_width + (is_dead ? 0 : 2));
        const std::string_view next_attempt = query.text(outbox_row_width + 3);
        const bool is_blocked = !query.is_null(outbox_row_width + 3);
        if (is_parked && is_blocked)
            listed.next_attempt_at = try_parse_iso8601(next_attempt);
        listed.held =
            is_dead ? query.integer(outbox_row_width + 1) != 0 : is_parked && is_blocked && next_attempt.empty();
        page.last = listed.message.sequence;
        bytes += listed.message.payload.size();
        page.messages.push_back(std::move(listed));
        if (page.messages.size() == limit || bytes > max_page_bytes) {
            page.is_at_end = false;
            break;
        }
    }
    return page;
}

std::vector<OutboxAdmin::Selected> OutboxAdmin::select(Connection& connection, const MessageFilter& filter,
                                                       const std::string& condition, Sequence after,
                                                       std::size_t limit) const {
    const FilterSql conditions{filter, "o.", first_filter_parameter};
    const std::string ids = json_ids(filter.ids);
    const std::string sql =
        from(filter, "o.sequence, o.message_id, o.aggregate_id, o.topic, o.state, o.attempts", condition);
    Query query = connection.prepare(sql);
    bind_all(query, filter, conditions, source_, after, limit, ids);
    std::vector<Selected> selected;
    while (query.step())
        selected.push_back({query.integer(0), std::string(query.text(1)), std::string(query.text(2)),
                            std::string(query.text(3)), static_cast<MessageState>(query.integer(4)),
                            static_cast<int>(query.integer(5))});
    return selected;
}

OutboxAdmin::Step OutboxAdmin::step_of(const std::vector<Selected>& selected, std::size_t limit, Sequence after) {
    Step step;
    step.done = selected.size();
    step.last = selected.empty() ? after : selected.back().sequence;
    step.is_at_end = selected.size() < limit;
    return step;
}

OutboxAdmin::Step OutboxAdmin::replay(Connection& connection, const MessageFilter& filter, Sequence after,
                                      std::size_t limit) const {
    const std::vector<Selected> selected = select(connection, filter, "o.state in (1, 2, 3)", after, limit);
    // A parked message was not acknowledged: no broker would take it for a duplicate, it keeps its deduplication id.
    Query again = connection.prepare("update \"" + table_ +
                                     "\" set state = 2, attempts = 0, replays = replays + (state <> 2) "
                                     "where sequence = ?1");
    Lanes lanes{connection, table_};
    for (const Selected& message : selected) {
        again.bind(1, message.sequence).run();
        again.reset();
        if (message.state == MessageState::dead)
            lanes.remove_dead_letter(message.message_id);
        lanes.put_back(message.aggregate_id, message.sequence);
    }
    return step_of(selected, limit, after);
}

OutboxAdmin::Step OutboxAdmin::skip(Connection& connection, const MessageFilter& filter, Sequence after,
                                    std::size_t limit) const {
    const std::vector<Selected> selected =
        select(connection, filter, "(o.state = 2 or o.state = 3 and coalesce(d.skipped, 0) = 0)", after, limit);
    Query dead = connection.prepare("update \"" + table_ + "\" set state = 3 where sequence = ?1");
    Lanes lanes{connection, table_};
    for (const Selected& message : selected) {
        dead.bind(1, message.sequence).run();
        dead.reset();
        lanes.skip(message.message_id, message.aggregate_id, message.topic, message.sequence, message.attempts);
        lanes.go_on(message.aggregate_id);
    }
    return step_of(selected, limit, after);
}

OutboxAdmin::Step OutboxAdmin::purge(Connection& connection, const MessageFilter& filter, Sequence after,
                                     std::size_t limit) const {
    // A dead letter that holds its lane stays: without it nobody could decide about the lane any more.
    const std::vector<Selected> selected = select(connection, filter, "coalesce(d.held, 0) = 0", after, limit);
    Query gone = connection.prepare("delete from \"" + table_ + "\" where sequence = ?1");
    Lanes lanes{connection, table_};
    for (const Selected& message : selected) {
        gone.bind(1, message.sequence).run();
        gone.reset();
        if (message.state == MessageState::dead)
            lanes.remove_dead_letter(message.message_id);
    }
    return step_of(selected, limit, after);
}

}  // namespace txm::sqlite::detail
