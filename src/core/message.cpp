#include "txm/message.hpp"

#include <ostream>

namespace txm {

std::ostream& operator<<(std::ostream& out, const AggregateId& id) {
    return out << id.str();
}

std::string_view to_string(MessageState state) noexcept {
    switch (state) {
        case MessageState::pending: return "pending";
        case MessageState::dispatched: return "dispatched";
        case MessageState::parked: return "parked";
        case MessageState::dead: return "dead";
    }
    return "unknown";
}

}  // namespace txm
