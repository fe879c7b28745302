#include "stores/sqlite/admin_inbox.hpp"

#include "stores/sqlite/admin_filter.hpp"
#include "stores/sqlite/feed_row.hpp"
#include "stores/sqlite/lanes_parked.hpp"
#include "stores/sqlite/schema.hpp"
#include "txm/error.hpp"

namespace txm::sqlite::detail {
namespace {

constexpr int first_filter_parameter = 7;
constexpr std::string_view ids_condition = " and message_id in (select value from json_each(?6))";

int state_number(const std::string& state) {
    if (state == "processed")
        return static_cast<int>(InboxState::processed);
    if (state == "dead")
        return static_cast<int>(InboxState::dead);
    if (state == "skipped")
        return static_cast<int>(InboxState::skipped);
    throw Error(Errc::invalid_configuration,
                "'" + state + "' is not a state of an inbox: use processed, dead, skipped or parked");
}

constexpr const char* state_name(std::int64_t number) noexcept {
    return number == 0 ? "processed" : number == 1 ? "dead" : "skipped";
}

}  // namespace

InboxAdmin::InboxAdmin(std::string_view inbox_table, std::string_view consumer)
    : inbox_(inbox_table), consumer_(consumer), source_(inbox_source(inbox_table)) {}

InboxAdmin::Page InboxAdmin::list(Connection& connection, const std::string& state, const MessageFilter& filter,
                                  Position position, std::size_t limit) const {
    if (state == "parked")
        position.is_in_parked = true;
    Page page;
    page.next = std::move(position);
    if (!page.next.is_in_parked) {
        list_decided(connection, state, filter, page, limit);
        if (!page.is_at_end)
            return page;
        page.is_at_end = !state.empty();
        page.next = Position{true, {}};
        return page;
    }
    list_parked(connection, filter, page, limit);
    return page;
}

void InboxAdmin::list_decided(Connection& connection, const std::string& state, const MessageFilter& filter, Page& page,
                              std::size_t limit) const {
    const std::string message =
        "d.message_id, d.topic, d.type, d.aggregate_id, d.correlation_id, d.payload, d.headers, d.created_at, "
        "d.stored_at, d.sequence, d.partition, d.position";
    const std::string columns = message + ", i.message_id, i.state, i.created_at, d.attempts, d.reason, d.held from ";
    // Dead letters are found by their own table, whose columns the filter asks; of what took effect no message is kept.
    std::string sql = "select " + columns;
    if (state == "dead")
        sql += "txm_dead_letter d join \"" + inbox_ +
               "\" i on i.consumer = ?1 and i.message_id = d.message_id where d.source = ?2 and "
               "d.consumer = ?1 and d.message_id > ?3 and i.state = 1";
    else
        sql += "\"" + inbox_ +
               "\" i left join txm_dead_letter d on d.source = ?2 and d.consumer = ?1 and d.message_id = i.message_id "
               "where i.consumer = ?1 and i.message_id > ?3" +
               (state.empty() ? std::string{} : " and i.state = " + std::to_string(state_number(state)));
    if (!filter.ids.empty())
        sql += " and i.message_id in (select value from json_each(?6))";
    MessageFilter of_message = filter;
    of_message.since.reset();
    of_message.before.reset();
    MessageFilter of_row;
    of_row.since = filter.since;
    of_row.before = filter.before;
    const FilterSql rows{of_row, "i.", first_filter_parameter};
    const FilterSql messages{of_message, "d.", first_filter_parameter + 2};
    sql += rows.conditions() + messages.conditions() +
           (state == "dead" ? " order by d.message_id" : " order by i.message_id") + " limit ?4";

    const std::string ids = json_ids(filter.ids);
    Query query = connection.prepare(sql);
    query.bind(1, consumer_).bind(2, source_).bind(3, page.next.after).bind(4, static_cast<std::int64_t>(limit));
    if (!filter.ids.empty())
        query.bind(6, ids);
    rows.bind(query);
    messages.bind(query);
    while (query.step()) {
        ListedDelivery listed;
        listed.consumer = consumer_;
        const int at = kept_message_width;
        page.next.after = query.text(at);
        listed.message_id = Uuid::try_parse(query.text(at)).value_or(Uuid{});
        listed.state = state_name(query.integer(at + 1));
        listed.created_at = try_parse_iso8601(query.text(at + 2)).value_or(Timestamp{});
        if (!query.is_null(0) && query.integer(at + 1) == 1) {
            listed.message = read_kept_message(query);
            listed.attempts = static_cast<int>(query.integer(at + 3));
            listed.reason = query.text(at + 4);
            listed.held = query.integer(at + 5) != 0;
        }
        page.deliveries.push_back(std::move(listed));
    }
    page.is_at_end = page.deliveries.size() < limit;
}

void InboxAdmin::list_parked(Connection& connection, const MessageFilter& filter, Page& page, std::size_t limit) const {
    const FilterSql conditions{filter, "", first_filter_parameter};
    const std::string lane =
        " from txm_parked_lane l where l.inbox = ?5 and l.consumer = ?1 and l.topic = p.topic and l.aggregate_id = "
        "p.aggregate_id)";
    const std::string sql = "select " + std::string(kept_message_columns) + ", attempts, (select l.reason" + lane +
                            ", (select coalesce(l.next_attempt_at, '')" + lane + ", replays" +
                            " from txm_parked p where inbox = ?5 and consumer = ?1 and message_id > ?3" +
                            (filter.ids.empty() ? std::string{} : std::string(ids_condition)) +
                            conditions.conditions() + " order by message_id limit ?4";
    const std::string ids = json_ids(filter.ids);
    Query query = connection.prepare(sql);
    query.bind(1, consumer_).bind(3, page.next.after).bind(4, static_cast<std::int64_t>(limit)).bind(5, inbox_);
    if (!filter.ids.empty())
        query.bind(6, ids);
    conditions.bind(query);
    while (query.step()) {
        ListedDelivery listed;
        const int at = kept_message_width;
        listed.state = "parked";
        listed.consumer = consumer_;
        page.next.after = query.text(0);
        listed.message = read_kept_message(query);
        listed.message->state = MessageState::parked;
        listed.message->replays = static_cast<int>(query.integer(at + 3));
        listed.message_id = listed.message->message_id;
        listed.created_at = listed.message->created_at;
        listed.attempts = static_cast<int>(query.integer(at));
        listed.reason = query.text(at + 1);
        listed.next_attempt_at = try_parse_iso8601(query.text(at + 2));
        listed.held = !query.is_null(at + 2) && query.text(at + 2).empty();
        page.deliveries.push_back(std::move(listed));
    }
    page.is_at_end = page.deliveries.size() < limit;
}

std::vector<InboxAdmin::Selected> InboxAdmin::select(Connection& connection, const MessageFilter& filter,
                                                     const std::string& after, std::size_t limit) const {
    const FilterSql conditions{filter, "", first_filter_parameter};
    const std::string rest = " consumer = ?1 and message_id > ?3" +
                             (filter.ids.empty() ? std::string{} : std::string(ids_condition)) +
                             conditions.conditions();
    const std::string dead =
        "select message_id, topic, aggregate_id, 1 from txm_dead_letter where source = ?2 and" + rest;
    const std::string parked = "select message_id, topic, aggregate_id, 0 from txm_parked where inbox = ?5 and" + rest;
    std::string sql;
    if (filter.state == MessageState::dead)
        sql = dead;
    else if (filter.state == MessageState::parked)
        sql = parked;
    else
        sql = dead + " union all " + parked;
    sql += " order by 1 limit ?4";
    const std::string ids = json_ids(filter.ids);
    Query query = connection.prepare(sql);
    query.bind(1, consumer_).bind(3, after).bind(4, static_cast<std::int64_t>(limit));
    if (filter.state != MessageState::parked)
        query.bind(2, source_);
    if (filter.state != MessageState::dead)
        query.bind(5, inbox_);
    if (!filter.ids.empty())
        query.bind(6, ids);
    conditions.bind(query);
    std::vector<Selected> selected;
    while (query.step())
        selected.push_back({std::string(query.text(0)), std::string(query.text(1)), std::string(query.text(2)),
                            query.integer(3) != 0});
    return selected;
}

std::size_t InboxAdmin::replay(Connection& connection, const MessageFilter& filter, std::string& after,
                               std::size_t limit) const {
    const std::vector<Selected> selected = select(connection, filter, after, limit);
    ParkedLanes lanes{connection, inbox_, consumer_};
    for (const Selected& message : selected) {
        if (message.is_dead)
            lanes.replay_dead_letter(message.message_id);
        else
            lanes.replay_parked(message.message_id);
        lanes.decided({message.topic, message.aggregate_id});
        after = message.message_id;
    }
    return selected.size();
}

std::size_t InboxAdmin::skip(Connection& connection, const MessageFilter& filter, std::string& after,
                             std::size_t limit) const {
    const std::vector<Selected> selected = select(connection, filter, after, limit);
    ParkedLanes lanes{connection, inbox_, consumer_};
    // What took effect meanwhile stays processed: that is what happened.
    Query decide = connection.prepare(
        "insert into \"" + inbox_ +
        "\" (consumer, message_id, state, created_at, stored_at) "
        "values (?1, ?2, 2, ?3, (select stored_at from txm_parked where inbox = ?4 and consumer = ?1 and "
        "message_id = ?2)) on conflict (consumer, message_id) do update set state = 2 where state = 1");
    for (const Selected& message : selected) {
        decide.bind(1, consumer_).bind(2, message.message_id).bind(3, now()).bind(4, inbox_).run();
        decide.reset();
        lanes.remove_dead_letter(message.message_id);
        lanes.remove(message.message_id, true);
        lanes.decided({message.topic, message.aggregate_id});
        after = message.message_id;
    }
    return selected.size();
}

}  // namespace txm::sqlite::detail
