#include "stores/dynamodb/inbox_row.hpp"
#include "stores/dynamodb/session_impl.hpp"
#include "stores/dynamodb/table_name.hpp"
#include "txm/dynamodb.hpp"

#include <utility>

namespace txm::dynamodb {
namespace {

const std::string& consumer_of(const Incoming& incoming, const std::string& fallback) noexcept {
    return incoming.consumer.empty() ? fallback : incoming.consumer;
}

}  // namespace

InboxRepository::InboxRepository(std::string table, Session& session, InboxOptions options)
    : table_(detail::checked_table_name(std::move(table))), options_(std::move(options)), session_(session.impl_) {}

InboxRepository::~InboxRepository() = default;

void InboxRepository::save(const Incoming& incoming) {
    const auto session = detail::alive(session_);
    detail::InboxRow row(table_, incoming, consumer_of(incoming, options_.consumer), options_.retention);
    // A unit of work saves it again in every transaction.
    if (!session->has_staged(row))
        session->stage(std::move(row));
}

awaitable<std::optional<ProcessedMessage>> InboxRepository::get(Incoming incoming) {
    const auto session = detail::alive(session_);
    const detail::Operation operation{session};
    const Item key = detail::inbox_key(incoming.message_id, consumer_of(incoming, options_.consumer));
    const std::optional<Item> row = co_await session->database.get_item(table_, key);
    operation.check_undisturbed();
    std::optional<ProcessedMessage> message;
    if (row)
        message = detail::processed_message(incoming.message_id, *row);
    co_return message;
}

}  // namespace txm::dynamodb
