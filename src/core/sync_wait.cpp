#include "txm/sync_wait.hpp"

namespace txm::detail {

namespace {
thread_local bool blocking = false;
}

BlockingScope::BlockingScope() noexcept : previous_(blocking) {
    blocking = true;
}

BlockingScope::~BlockingScope() {
    blocking = previous_;
}

bool BlockingScope::active() noexcept {
    return blocking;
}

}  // namespace txm::detail
