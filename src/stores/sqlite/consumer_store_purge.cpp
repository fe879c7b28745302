#include "stores/sqlite/consumer_store_purge.hpp"

#include "stores/sqlite/schema.hpp"

#include <vector>

namespace txm::sqlite::detail {

InboxPurge::InboxPurge(std::string_view inbox_table, std::string_view consumer)
    : inbox_(inbox_table),
      consumer_(consumer),
      source_(inbox_source(inbox_table)),
      purged_to_key_(purged_to_key(inbox_table, consumer)) {
    // Decided long ago, too: what a consumer that reads old messages has just decided says nothing of their neighbours,
    // which are only on their way. Rows that are not told when they were sent count from when they were decided.
    old_ =
        "select i.message_id, coalesce(i.stored_at, i.created_at) from \"" + inbox_ +
        "\" i where i.consumer = ?1 and i.created_at < ?2 and (i.stored_at is null or i.stored_at < ?2) "
        "and (i.state <> 1 or not exists (select 1 from txm_dead_letter d where d.source = ?3 and d.consumer = ?1 and "
        "d.message_id = i.message_id) and not exists (select 1 from txm_parked p where p.inbox = ?4 and "
        "p.consumer = ?1 and p.message_id = i.message_id)) order by i.created_at limit ?5";
    delete_ = "delete from \"" + inbox_ + "\" where consumer = ?1 and message_id = ?2";
}

std::size_t InboxPurge::run(Connection& connection, Timestamp cutoff, std::size_t limit) const {
    const std::string time = to_iso8601(cutoff);
    // Of deliveries that never came again.
    connection.prepare("delete from txm_attempt where inbox = ?1 and consumer = ?2 and began_at < ?3")
        .bind(1, inbox_)
        .bind(2, consumer_)
        .bind(3, time)
        .run();
    std::vector<std::string> old;
    std::string purged_to;
    {
        Query rows = connection.prepare(old_);
        rows.bind(1, consumer_).bind(2, time).bind(3, source_).bind(4, inbox_);
        rows.bind(5, static_cast<std::int64_t>(limit));
        while (rows.step()) {
            old.emplace_back(rows.text(0));
            if (purged_to < rows.text(1))
                purged_to = rows.text(1);
        }
    }
    if (old.empty())
        return 0;
    Query query = connection.prepare(delete_);
    for (const std::string& message_id : old) {
        query.bind(1, consumer_).bind(2, message_id).run();
        query.reset();
    }
    connection
        .prepare(
            "insert into txm_meta (key, value) values (?1, ?2) on conflict (key) do update set value = max(value, "
            "excluded.value)")
        .bind(1, purged_to_key_)
        .bind(2, purged_to)
        .run();
    return old.size();
}

}  // namespace txm::sqlite::detail
