#include "cli/progress.hpp"

#include "cli/log.hpp"

#include <cstdio>

namespace txm::cli {

namespace {
constexpr std::chrono::milliseconds interval{200};
}

Progress::Progress() : enabled_(can_draw_progress()), next_(std::chrono::steady_clock::now() + interval) {}

Progress::~Progress() {
    clear();
}

bool Progress::is_due() {
    if (!enabled_)
        return false;
    const auto now = std::chrono::steady_clock::now();
    if (now < next_)
        return false;
    next_ = now + interval;
    return true;
}

void Progress::draw(std::string_view text) {
    if (!enabled_)
        return;
    std::fprintf(stderr, "\r%.*s\x1b[K", static_cast<int>(text.size()), text.data());
    drawn_ = true;
}

void Progress::clear() {
    if (drawn_)
        std::fputs("\r\x1b[K", stderr);
    drawn_ = false;
}

}  // namespace txm::cli
