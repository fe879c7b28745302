#include "txm/admin.hpp"

#include "core/fault_point.hpp"
#include "sqlite/database_impl.hpp"
#include "stores/sqlite/admin_inbox.hpp"
#include "stores/sqlite/admin_outbox.hpp"
#include "stores/sqlite/admin_status.hpp"
#include "stores/sqlite/consumer_store_purge.hpp"
#include "stores/sqlite/schema.hpp"
#include "txm/error.hpp"
#include "txm/sqlite_feed.hpp"
#include "txm/sync_wait.hpp"

#include <algorithm>
#include <utility>

namespace txm::sqlite {

using namespace detail;

namespace {

constexpr std::size_t batch = 500;

class SqliteAdmin final : public txm::Admin {
public:
    SqliteAdmin(Database& db, std::string outbox, std::string inbox)
        : db_(db.impl()), outbox_(std::move(outbox)), inbox_(std::move(inbox)), of_outbox_(outbox_) {
        check_table_name(outbox_);
        check_table_name(inbox_);
    }

    awaitable<StoreStatus> status() override {
        auto work = [this](Connection& connection) { return read_status(connection, db_.path, outbox_, inbox_); };
        co_return co_await db_.readers().run(work);
    }

    awaitable<void> list(MessageFilter filter, std::function<bool(const ListedMessage&)> each) override {
        co_await check(outbox_);
        Sequence after = 0;
        std::size_t left = limit_of(filter);
        for (bool is_at_end = false; !is_at_end && left > 0;) {
            auto work = [this, &filter, after, left](Connection& connection) {
                return of_outbox_.list(connection, filter, after, std::min(left, batch));
            };
            const OutboxAdmin::Page page = co_await db_.readers().run(work);
            for (const ListedMessage& message : page.messages) {
                if (!each(message))
                    co_return;
            }
            left -= page.messages.size();
            after = page.last;
            is_at_end = page.is_at_end;
        }
    }

    awaitable<std::size_t> replay(MessageFilter filter, Progress progress) override {
        return in_steps(std::move(filter), std::move(progress), &OutboxAdmin::replay);
    }

    awaitable<std::size_t> skip(MessageFilter filter, Progress progress) override {
        return in_steps(std::move(filter), std::move(progress), &OutboxAdmin::skip);
    }

    awaitable<std::size_t> purge(MessageFilter filter, Progress progress) override {
        const MessageState state = filter.state.value_or(MessageState::dispatched);
        if (state == MessageState::pending || state == MessageState::parked)
            throw Error(Errc::invalid_configuration,
                        "pending and parked messages are never deleted: replay or skip them first");
        require_before(filter);
        filter.state = state;
        return in_steps(std::move(filter), std::move(progress), &OutboxAdmin::purge);
    }

    awaitable<void> list_inbox(std::string consumer, std::string state, MessageFilter filter,
                               std::function<bool(const ListedDelivery&)> each) override {
        co_await check(inbox_);
        const InboxAdmin inbox{inbox_, consumer};
        InboxAdmin::Position position;
        std::size_t left = limit_of(filter);
        for (bool is_at_end = false; !is_at_end && left > 0;) {
            auto work = [&](Connection& connection) {
                return inbox.list(connection, state, filter, position, std::min(left, batch));
            };
            const InboxAdmin::Page page = co_await db_.readers().run(work);
            for (const ListedDelivery& delivery : page.deliveries) {
                if (!each(delivery))
                    co_return;
            }
            left -= page.deliveries.size();
            position = page.next;
            is_at_end = page.is_at_end;
        }
    }

    awaitable<std::size_t> replay_inbox(std::string consumer, MessageFilter filter) override {
        return decide_inbox(std::move(consumer), std::move(filter), &InboxAdmin::replay);
    }

    awaitable<std::size_t> skip_inbox(std::string consumer, MessageFilter filter) override {
        return decide_inbox(std::move(consumer), std::move(filter), &InboxAdmin::skip);
    }

    awaitable<std::size_t> purge_inbox(std::string consumer, MessageFilter filter, Progress progress) override {
        require_before(filter);
        co_await check(inbox_);
        const InboxPurge purge{inbox_, consumer};
        std::size_t total = 0;
        std::size_t left = limit_of(filter);
        for (bool is_at_end = false; !is_at_end && left > 0;) {
            const std::size_t most = std::min(left, batch);
            auto work = [&](Connection& connection) {
                fault::point("admin.batch");
                return purge.run(connection, *filter.before, most);
            };
            const std::size_t done = co_await db_.writer().transact(work);
            total += done;
            left -= done;
            is_at_end = done < most;
            if (progress)
                progress(total);
        }
        co_return total;
    }

private:
    using OutboxStep = OutboxAdmin::Step (OutboxAdmin::*)(Connection&, const MessageFilter&, Sequence,
                                                          std::size_t) const;
    using InboxStep = std::size_t (InboxAdmin::*)(Connection&, const MessageFilter&, std::string&, std::size_t) const;

    static std::size_t limit_of(const MessageFilter& filter) {
        return filter.limit > 0 ? filter.limit : static_cast<std::size_t>(-1);
    }

    static void require_before(const MessageFilter& filter) {
        if (!filter.before)
            throw Error(Errc::invalid_configuration, "a purge needs an age: what is younger is kept");
    }

    awaitable<void> check(std::string table) {
        auto work = [this, &table](Connection& connection) { check_table(connection, db_.path, table); };
        co_await db_.readers().run(work);
    }

    // Other programs write between two steps; a step that was done stays done.
    awaitable<std::size_t> in_steps(MessageFilter filter, Progress progress, OutboxStep step) {
        co_await check(outbox_);
        std::size_t total = 0;
        std::size_t left = limit_of(filter);
        Sequence after = 0;
        for (bool is_at_end = false; !is_at_end && left > 0;) {
            auto work = [&, this](Connection& connection) {
                fault::point("admin.batch");
                return (of_outbox_.*step)(connection, filter, after, std::min(left, batch));
            };
            const OutboxAdmin::Step done = co_await db_.writer().transact(work);
            total += done.done;
            left -= done.done;
            after = done.last;
            is_at_end = done.is_at_end;
            if (progress)
                progress(total);
        }
        co_return total;
    }

    awaitable<std::size_t> decide_inbox(std::string consumer, MessageFilter filter, InboxStep step) {
        co_await check(inbox_);
        const InboxAdmin inbox{inbox_, consumer};
        std::size_t total = 0;
        std::size_t left = limit_of(filter);
        std::string after;
        for (bool is_at_end = false; !is_at_end && left > 0;) {
            const std::size_t most = std::min(left, batch);
            // It may run twice: where it ended is taken over only once it is committed.
            auto work = [&](Connection& connection) {
                fault::point("admin.batch");
                std::string position = after;
                const std::size_t done = (inbox.*step)(connection, filter, position, most);
                return std::pair{done, position};
            };
            const auto [done, position] = co_await db_.writer().transact(work);
            total += done;
            left -= done;
            after = position;
            is_at_end = done < most;
        }
        co_return total;
    }

    DatabaseImpl& db_;
    const std::string outbox_, inbox_;
    const OutboxAdmin of_outbox_;
};

}  // namespace

std::unique_ptr<txm::Admin> open_admin(Database& db, std::string outbox_table, std::string inbox_table) {
    return std::make_unique<SqliteAdmin>(db, std::move(outbox_table), std::move(inbox_table));
}

}  // namespace txm::sqlite
