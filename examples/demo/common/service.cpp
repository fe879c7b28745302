#include "common/service.hpp"

#include <txm/error.hpp>

#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace demo {

std::string path_from_environment(const char* variable, std::string_view scheme) {
    const char* value = std::getenv(variable);
    const std::string prefix = std::string(scheme) + ':';
    const std::string url = value ? value : "";
    if (!url.starts_with(prefix) || url.size() == prefix.size())
        throw std::runtime_error(std::string("set ") + variable + " to " + prefix + "FILE; it is '" + url + "'");
    return url.substr(prefix.size());
}

std::int64_t parse_count(std::string_view text, std::string_view what, std::int64_t max) {
    std::int64_t value = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < 0 || value > max)
        throw std::runtime_error(std::string(what) + " must be a whole number from 0 to " + std::to_string(max) +
                                 ", not '" + std::string(text) + "'");
    return value;
}

void log(std::string_view line) noexcept {
    try {
        std::string text{line};
        text += '\n';
        // Nothing can be done about a log that is full or gone.
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
    } catch (const std::bad_alloc&) {}
}

txm::awaitable<std::vector<txm::Delivery>> LoggedSubscription::receive(std::size_t max) {
    auto deliveries = co_await inner_->receive(max);
    if (!deliveries.empty())
        log("received " + std::to_string(deliveries.size()));
    co_return deliveries;
}

txm::awaitable<void> LoggedUnitOfWork::enter() {
    try {
        co_await txm::UnitOfWork::enter();
    } catch (const txm::MessageAlreadyProcessedError& e) {
        log("duplicate " + e.message_id().to_string());
        throw;
    }
}

}  // namespace demo
