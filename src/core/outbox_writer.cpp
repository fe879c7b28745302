#include "txm/outbox_writer.hpp"

#include "core/utf8.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <vector>

namespace txm {

namespace {

[[noreturn]] void refuse(const StoredMessage& message, const std::string& why) {
    throw Error(Errc::invalid_message, "message " + message.message_id.to_string() + " cannot be published: " + why,
                message.message_id);
}

void require_utf8(const StoredMessage& message, std::string_view text, const char* what) {
    if (!detail::is_utf8(text))
        refuse(message, std::string("its ") + what + " is not valid UTF-8; encode binary data, for example as base64");
}

bool has_duplicates(std::vector<Uuid> ids) {
    std::sort(ids.begin(), ids.end());
    return std::adjacent_find(ids.begin(), ids.end()) != ids.end();
}

}  // namespace

void validate(const StoredMessage& message, std::size_t max_payload) {
    if (message.message_id.is_nil())
        refuse(message, "its message_id is nil; txm::new_uuid() makes one");
    if (message.topic.empty())
        refuse(message, "it has no topic");
    if (message.aggregate_id.str().empty())
        refuse(message, "it has no aggregate_id; messages of one aggregate keep their order");
    if (message.payload.size() > max_payload)
        refuse(message, "its payload has " + std::to_string(message.payload.size()) + " bytes and may have " +
                            std::to_string(max_payload) + "; store large data elsewhere and send a reference to it");
    require_utf8(message, message.payload, "payload");
    require_utf8(message, message.topic, "topic");
    require_utf8(message, message.type, "type");
    require_utf8(message, message.aggregate_id.str(), "aggregate_id");
    for (const auto& [name, value] : message.headers) {
        if (name.empty())
            refuse(message, "a header has no name");
        require_utf8(message, name, "header's name");
        require_utf8(message, value, "header's value");
    }
}

void OutboxWriter::check(const std::vector<Staged>& batch) const {
    for (const Staged& staged : batch) {
        if (staged.message.message_id.is_nil())
            throw std::invalid_argument(
                "txm: publish() got a message whose message_id is nil: txm::new_uuid() makes one");
        validate(staged.message, max_payload_);
    }
    if (batch.size() < 2)
        return;
    std::vector<Uuid> ids;
    ids.reserve(batch.size());
    for (const Staged& staged : batch)
        ids.push_back(staged.message.message_id);
    if (has_duplicates(std::move(ids)))
        throw std::invalid_argument("txm: publish() got two messages of one message_id: give each an id of its own");
}

}  // namespace txm
