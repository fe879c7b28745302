#include "feed_row.hpp"
#include "lanes.hpp"
#include "schema.hpp"
#include "session_impl.hpp"
#include "txm/error.hpp"
#include "txm/sqlite.hpp"

#include <limits>
#include <utility>

namespace txm::sqlite {
namespace {

StoredMessage message_of(const detail::Query& row) {
    StoredMessage message;
    std::string problem;
    if (!detail::read_outbox_row(row, std::numeric_limits<std::size_t>::max(), message, problem))
        throw Error(Errc::invalid_message, problem, message.message_id);
    return message;
}

/// Counts a dispatch: an update of the user's transaction when the session has one open.
struct MarkJob final : detail::AwaitedJob {
    MarkJob(std::shared_ptr<const detail::OutboxSql> statements, const Uuid& id)
        : sql(std::move(statements)), message_id(id) {
        wakes = false;
    }
    void apply(detail::Connection& connection) override {
        detail::check_schema(connection, connection.path());
        bool was_dead = false;
        std::string aggregate_id;
        {
            auto row = connection.prepare(sql->select_lane);
            if (!row.bind(1, message_id).step())
                throw MessageNotFoundError(message_id);
            was_dead = row.integer(0) == static_cast<int>(MessageState::dead);
            if (was_dead)
                aggregate_id = row.text(1);
        }
        connection.prepare(sql->mark_as_dispatched).bind(1, message_id).bind(2, now()).run();
        if (!was_dead)
            return;
        // The broker has it after all: it is no dead letter any more, and its lane need not wait for an operator.
        detail::Lanes lanes{connection, sql->table};
        lanes.remove_dead_letter(message_id.to_string());
        lanes.go_on(aggregate_id);
    }

    const std::shared_ptr<const detail::OutboxSql> sql;
    const Uuid message_id;
};

}  // namespace

OutboxRepository::OutboxRepository(std::string table, Session& session, TopicMap topics)
    : txm::OutboxRepository(std::move(topics)), sql_(detail::outbox_sql(table)), session_(session.impl_) {}

OutboxRepository::~OutboxRepository() = default;

void OutboxRepository::stage(std::vector<Staged> batch) {
    const auto session = detail::alive(session_);
    session->check_usable();
    auto& writes = session->writes;
    const auto before = writes.size();
    try {
        for (Staged& staged : batch)
            writes.emplace_back(std::in_place_type<detail::OutboxRow>, sql_, std::move(staged.message));
    } catch (...) {
        writes.erase(writes.begin() + static_cast<std::ptrdiff_t>(before), writes.end());
        throw;
    }
}

awaitable<std::optional<StoredMessage>> OutboxRepository::get(Uuid message_id) {
    const auto session = detail::alive(session_);
    const auto work = [&](detail::Connection& connection) -> std::optional<StoredMessage> {
        detail::check_schema(connection, connection.path());
        auto row = connection.prepare(sql_->select);
        if (!row.bind(1, message_id).step())
            return std::nullopt;
        return message_of(row);
    };
    co_return co_await session->database.readers().run(work);
}

awaitable<void> OutboxRepository::mark_as_dispatched(Uuid message_id) {
    const auto session = detail::alive(session_);
    session->check_usable();
    const auto job = std::make_shared<MarkJob>(sql_, message_id);
    if (!session->held) {
        co_await session->database.writer().run(job);
        co_return;
    }
    co_await session->held->run(job);
    session->executed = txm::Staged::writes;
}

awaitable<std::vector<StoredMessage>> OutboxRepository::get_not_dispatched_messages() {
    const auto session = detail::alive(session_);
    const auto work = [&](detail::Connection& connection) {
        detail::check_schema(connection, connection.path());
        auto row = connection.prepare(sql_->select_not_dispatched);
        std::vector<StoredMessage> messages;
        while (row.step())
            messages.push_back(message_of(row));
        return messages;
    };
    co_return co_await session->database.readers().run(work);
}

}  // namespace txm::sqlite
