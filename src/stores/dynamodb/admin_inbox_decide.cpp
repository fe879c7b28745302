#include "core/fault_point.hpp"
#include "stores/dynamodb/admin_filter.hpp"
#include "stores/dynamodb/admin_inbox.hpp"
#include "stores/dynamodb/consumer_store_delivery.hpp"
#include "stores/dynamodb/consumer_store_inbox.hpp"
#include "stores/dynamodb/consumer_store_lanes.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/inbox_row.hpp"
#include "stores/dynamodb/outbox_row.hpp"

#include <algorithm>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

Write skipped_row(const std::string& table, const Item& key, const Delivery& delivery, std::string_view message_id) {
    Item row = key;
    row.emplace("MessageId", message_id);
    row.emplace("CreatedAt", now());
    row.emplace("State", "skipped");
    if (delivery.message.stored_at != Timestamp{})
        row.emplace("StoredAt", delivery.message.stored_at);
    return Write::put(table, std::move(row)).when("attribute_not_exists(PK)", Moved{});
}

Write skip_dead_row(const std::string& table, const Item& key) {
    Item values;
    values.emplace(":skipped", "skipped");
    values.emplace(":dead", "dead");
    std::vector<std::pair<std::string, std::string>> names{{"#state", "State"}};
    return Write::update(table, key, "set #state = :skipped")
        .values(std::move(values))
        .names(std::move(names))
        .when("#state = :dead", Moved{});
}

}  // namespace

awaitable<std::vector<InboxAdmin::Selected>> InboxAdmin::select(MessageFilter filter) {
    std::vector<Selected> selected;
    if (filter.state != MessageState::parked) {
        const std::vector<std::string> ids = co_await dead_ids(filter);
        for (const std::string& id : ids)
            selected.push_back({id, true});
    }
    if (filter.state != MessageState::dead) {
        const std::vector<std::string> ids = co_await parked_ids(filter);
        for (const std::string& id : ids)
            selected.push_back({id, false});
    }
    std::ranges::sort(selected);
    co_return selected;
}

awaitable<std::size_t> InboxAdmin::replay(MessageFilter filter) {
    const std::vector<Selected> selected = co_await select(filter);
    std::size_t done = 0;
    for (const Selected& one : selected) {
        if (done == limit_of(filter))
            break;
        bool is_done = false;
        if (one.is_dead)
            is_done = co_await replay_dead(one.message_id, filter);
        else
            is_done = co_await replay_parked(one.message_id, filter);
        done += is_done ? 1 : 0;
    }
    co_return done;
}

awaitable<std::size_t> InboxAdmin::skip(MessageFilter filter) {
    const std::vector<Selected> selected = co_await select(filter);
    std::size_t done = 0;
    for (const Selected& one : selected) {
        if (done == limit_of(filter))
            break;
        const bool is_done = co_await skip_one(one, filter);
        done += is_done ? 1 : 0;
    }
    co_return done;
}

void InboxAdmin::remove_dead(Session& session, const Item& letter, const std::string& message_id) const {
    session.add(Write::remove(table_, keys_.dead(message_id)).when("attribute_exists(PK)", Moved{}));
    for (Item& part : part_keys(letter, keys_.dead_parts(message_id)))
        session.remove(table_, std::move(part));
}

awaitable<bool> InboxAdmin::replay_dead(const std::string& message_id, const MessageFilter& filter) {
    int failures = 0;
    for (bool is_done = false; !is_done;) {
        const std::optional<Item> letter = co_await db_.impl().get_item(table_, keys_.dead(message_id));
        if (!letter)
            co_return false;
        std::vector<std::optional<Item>> letters{letter};
        std::vector<Item> parts{keys_.dead_parts(message_id)};
        const std::vector<std::optional<Delivery>> whole =
            co_await whole_deliveries(db_.impl(), table_, std::move(letters), std::move(parts));
        // Without its parts it was decided between the two reads.
        if (!whole.front() || !selects(filter, whole.front()->message))
            co_return false;
        const Delivery& delivery = *whole.front();
        const ConsumerLane lane = lane_of(delivery.message);
        ConsumerLanes lanes(db_, table_, keys_);
        std::vector<ConsumerLane> names{lane};
        std::vector<std::string> ids{message_id};
        co_await lanes.load(std::move(names), std::move(ids));
        lanes.begin_anew(delivery);
        lanes.decided(lane, message_id);
        Session session(db_);
        remove_dead(session, *letter, message_id);
        lanes.stage(session);
        fault::point("dynamodb_admin.replay_inbox");
        is_done = co_await commit_unless_moved(session, failures);
    }
    co_return true;
}

awaitable<bool> InboxAdmin::replay_parked(const std::string& message_id, const MessageFilter& filter) {
    int failures = 0;
    for (bool is_done = false; !is_done;) {
        ConsumerLanes lanes(db_, table_, keys_);
        std::vector<ConsumerLane> no_lanes;
        std::vector<std::string> ids{message_id};
        co_await lanes.load(std::move(no_lanes), std::move(ids));
        const Kept* kept = lanes.kept(message_id);
        if (!kept || !selects(filter, delivery_of(kept->item).message))
            co_return false;
        const ConsumerLane lane = kept->lane;
        lanes.begin_anew(message_id);
        lanes.decided(lane, message_id);
        Session session(db_);
        lanes.stage(session);
        fault::point("dynamodb_admin.replay_inbox");
        is_done = co_await commit_unless_moved(session, failures);
    }
    co_return true;
}

// What took effect meanwhile stays processed: that is what happened.
awaitable<bool> InboxAdmin::skip_one(const Selected& selected, const MessageFilter& filter) {
    const std::string& id = selected.message_id;
    const Item row_key = inbox_key(Uuid::parse(id), consumer_);
    int failures = 0;
    for (bool is_done = false; !is_done;) {
        const std::optional<Item> letter = co_await db_.impl().get_item(table_, keys_.dead(id));
        ConsumerLanes lanes(db_, table_, keys_);
        std::vector<ConsumerLane> names;
        if (letter)
            names.push_back(lane_of(delivery_of(*letter).message));
        std::vector<std::string> ids{id};
        co_await lanes.load(std::move(names), std::move(ids));
        const Kept* kept = lanes.kept(id);
        if (selected.is_dead ? !letter : !kept)
            co_return false;
        const Delivery delivery = delivery_of(selected.is_dead ? *letter : kept->item);
        if (!selects(filter, delivery.message))
            co_return false;
        const ConsumerLane lane = lane_of(delivery.message);
        const std::optional<Item> row = co_await db_.impl().get_item(inbox_, row_key);
        Session session(db_);
        if (!row)
            session.add(skipped_row(inbox_, row_key, delivery, id));
        else if (is_dead(*row))
            session.add(skip_dead_row(inbox_, row_key));
        if (letter)
            remove_dead(session, *letter, id);
        if (kept)
            co_await lanes.remove(id);
        lanes.decided(lane, id);
        lanes.stage(session);
        fault::point("dynamodb_admin.skip_inbox");
        is_done = co_await commit_unless_moved(session, failures);
    }
    co_return true;
}

}  // namespace txm::dynamodb::detail
