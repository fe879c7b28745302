#include "txm/consumer.hpp"

#include <stdexcept>

namespace txm::detail {

void HandlerMap::add(const Topic& topic, Handler handler) {
    const bool is_new = topics_[topic.name].try_emplace(topic.type, std::move(handler)).second;
    if (!is_new)
        throw std::invalid_argument("txm: type \"" + topic.type + "\" of topic \"" + topic.name +
                                    "\" has a handler already");
}

const HandlerMap::Handler* HandlerMap::find(const StoredMessage& message) const noexcept {
    const auto types = topics_.find(message.topic);
    if (types == topics_.end())
        return nullptr;
    // What a foreign writer inserted may have no type: it is clear what it is when the topic has one type only.
    if (message.type.empty() && types->second.size() == 1)
        return &types->second.begin()->second;
    const auto found = types->second.find(message.type);
    return found == types->second.end() ? nullptr : &found->second;
}

awaitable<void> handle_within(UnitOfWork& uow, const HandlerMap::Handler& handler, const Delivery& delivery) {
    const Leave leave{uow};
    co_await uow.enter();
    co_await handler(uow, delivery);
    // What a handler stages after its own commit must not vanish in silence: the commit refuses it.
    if (!uow.is_committed() || uow.session().staged() != Staged::nothing)
        co_await uow.commit();
}

}  // namespace txm::detail
