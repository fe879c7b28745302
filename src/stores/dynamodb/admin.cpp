#include "txm/admin.hpp"

#include "stores/dynamodb/admin_filter.hpp"
#include "stores/dynamodb/admin_inbox.hpp"
#include "stores/dynamodb/admin_outbox.hpp"
#include "stores/dynamodb/admin_status.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "stores/dynamodb/table_name.hpp"
#include "txm/dynamodb_feed.hpp"
#include "txm/error.hpp"

#include <utility>

namespace txm::dynamodb {

using namespace detail;

namespace {

class DynamoDbAdmin final : public txm::Admin {
public:
    DynamoDbAdmin(Database& db, std::string outbox, std::string inbox, std::string state) : db_(db) {
        tables_.outbox = checked_table_name(std::move(outbox));
        tables_.inbox = checked_table_name(std::move(inbox));
        tables_.state = state_table_name(tables_.outbox, state);
    }

    awaitable<StoreStatus> status() override {
        AdminTables tables = co_await known_tables();
        StatusReader reader(db_, std::move(tables), counts_);
        co_return co_await reader.read();
    }

    awaitable<StoreStatus> outbox_status() override {
        AdminTables tables = co_await known_tables();
        StatusReader reader(db_, std::move(tables), counts_);
        co_return co_await reader.read_outbox();
    }

    awaitable<InboxStatus> inbox_status(std::string consumer) override {
        InboxStatus inbox{std::move(consumer)};
        StatusReader reader(db_, tables_, counts_);
        co_await reader.read_consumer(inbox);
        co_return inbox;
    }

    awaitable<void> list(MessageFilter filter, std::function<bool(const ListedMessage&)> each) override {
        AdminTables tables = co_await known_tables();
        OutboxAdmin outbox(db_, std::move(tables));
        co_await outbox.list(std::move(filter), std::move(each));
    }

    awaitable<std::size_t> replay(MessageFilter filter, Progress progress) override {
        AdminTables tables = co_await known_tables();
        OutboxAdmin outbox(db_, std::move(tables));
        co_return co_await outbox.replay(std::move(filter), std::move(progress));
    }

    awaitable<std::size_t> skip(MessageFilter filter, Progress progress) override {
        AdminTables tables = co_await known_tables();
        OutboxAdmin outbox(db_, std::move(tables));
        co_return co_await outbox.skip(std::move(filter), std::move(progress));
    }

    awaitable<std::size_t> purge(MessageFilter filter, Progress progress) override {
        AdminTables tables = co_await known_tables();
        OutboxAdmin outbox(db_, std::move(tables));
        co_return co_await outbox.purge(std::move(filter), std::move(progress));
    }

    awaitable<void> list_inbox(std::string consumer, std::string state, MessageFilter filter,
                               std::function<bool(const ListedDelivery&)> each) override {
        InboxAdmin inbox(db_, tables_.inbox, tables_.state, std::move(consumer));
        co_await inbox.list(std::move(state), std::move(filter), std::move(each));
    }

    awaitable<std::size_t> replay_inbox(std::string consumer, MessageFilter filter) override {
        InboxAdmin inbox(db_, tables_.inbox, tables_.state, std::move(consumer));
        co_return co_await inbox.replay(std::move(filter));
    }

    awaitable<std::size_t> skip_inbox(std::string consumer, MessageFilter filter) override {
        InboxAdmin inbox(db_, tables_.inbox, tables_.state, std::move(consumer));
        co_return co_await inbox.skip(std::move(filter));
    }

    // What is deleted here could be delivered again and be taken for new: only the age of a message tells that it may have
    // been forgotten, and that is the age at which the table's time to live deletes.
    awaitable<std::size_t> purge_inbox(std::string, MessageFilter filter, Progress) override {
        require_before(filter);
        throw Error(Errc::not_supported,
                    "the table " + tables_.inbox +
                        " deletes old rows itself, by its time to live: set `[inbox] retention` for that");
        co_return 0;
    }

private:
    // Whether the outbox is shared with programs that know only its original attributes was written down when txm's own table
    // was made.
    awaitable<AdminTables> known_tables() {
        AdminTables tables = tables_;
        const std::optional<Item> sharing = co_await db_.impl().get_item(tables.state, state_key("META", "COMPAT"));
        tables.compat = sharing && boolean_of(*sharing, "Compat");
        co_return tables;
    }

    Database& db_;
    AdminTables tables_;
    std::shared_ptr<InboxCounts> counts_ = std::make_shared<InboxCounts>();
};

}  // namespace

std::unique_ptr<txm::Admin> open_admin(Database& db, std::string outbox_table, std::string inbox_table,
                                       std::string state_table) {
    return std::make_unique<DynamoDbAdmin>(db, std::move(outbox_table), std::move(inbox_table), std::move(state_table));
}

}  // namespace txm::dynamodb
