#include "schema.hpp"
#include "session_impl.hpp"
#include "txm/error.hpp"
#include "txm/sqlite.hpp"

#include <utility>

namespace txm::sqlite {
namespace {

const std::string& consumer_of(const Incoming& incoming, const std::string& fallback) noexcept {
    return incoming.consumer.empty() ? fallback : incoming.consumer;
}

}  // namespace

InboxRepository::InboxRepository(std::string table, Session& session, std::string consumer)
    : sql_(detail::inbox_sql(table)), consumer_(std::move(consumer)), session_(session.impl_) {}

InboxRepository::~InboxRepository() = default;

void InboxRepository::save(const Incoming& incoming) {
    const auto session = detail::alive(session_);
    detail::InboxRow row(sql_, incoming, consumer_of(incoming, consumer_));
    // A unit of work saves it again in every transaction.
    if (!session->has_staged(row))
        session->stage(std::move(row));
}

awaitable<std::optional<ProcessedMessage>> InboxRepository::get(Incoming incoming) {
    const auto session = detail::alive(session_);
    const auto work = [&](detail::Connection& connection) -> std::optional<ProcessedMessage> {
        detail::check_schema(connection, connection.path());
        auto row = connection.prepare(sql_->select);
        if (!row.bind(1, consumer_of(incoming, consumer_)).bind(2, incoming.message_id).step())
            return std::nullopt;
        ProcessedMessage message;
        message.message_id = incoming.message_id;
        message.created_at = row.time(1);
        message.state = static_cast<InboxState>(row.integer(0));
        if (!row.is_null(2))
            message.payload_hash = static_cast<std::uint64_t>(row.integer(2));
        return message;
    };
    co_return co_await session->database.readers().run(work);
}

}  // namespace txm::sqlite
