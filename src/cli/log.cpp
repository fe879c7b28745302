#include "cli/log.hpp"

#include "core/json_text.hpp"
#include "txm/timestamp.hpp"

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include <unistd.h>

namespace txm::cli {

namespace {

std::string_view text_of(const spdlog::string_view_t& text) {
    return {text.data(), text.size()};
}

Timestamp time_of(const spdlog::details::log_msg& message) {
    return std::chrono::floor<std::chrono::microseconds>(message.time);
}

class JsonFormatter final : public spdlog::formatter {
public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        std::string line = "{\"time\":";
        detail::json::append_quoted(line, to_iso8601(time_of(message)));
        line += ",\"level\":";
        detail::json::append_quoted(line, text_of(spdlog::level::to_string_view(message.level)));
        line += ",\"message\":";
        detail::json::append_quoted(line, text_of(message.payload));
        line += "}\n";
        out.append(line.data(), line.data() + line.size());
    }
    std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

class TextFormatter final : public spdlog::formatter {
public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        std::string line = to_iso8601(std::chrono::floor<std::chrono::seconds>(time_of(message)));
        const std::string_view level = text_of(spdlog::level::to_string_view(message.level));
        line.append(1, ' ').append(level).append(level.size() < 8 ? 8 - level.size() : 1, ' ');
        // One event is one line, whatever an error text of another library holds.
        for (const char c : text_of(message.payload))
            line += c == '\n' || c == '\r' ? ' ' : c;
        line += '\n';
        out.append(line.data(), line.data() + line.size());
    }
    std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<TextFormatter>(); }
};

bool json_format = false;

std::shared_ptr<spdlog::logger> make_log(bool json) {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto logger = std::make_shared<spdlog::logger>("txm", sink);
    if (json)
        logger->set_formatter(std::make_unique<JsonFormatter>());
    else
        logger->set_formatter(std::make_unique<TextFormatter>());
    return logger;
}

std::shared_ptr<spdlog::logger>& instance() {
    static std::shared_ptr<spdlog::logger> logger = make_log(false);
    return logger;
}

}  // namespace

void start_log(const std::string& level, const std::string& format) {
    json_format = format == "json";
    instance() = make_log(json_format);
    instance()->set_level(spdlog::level::from_str(level));
}

spdlog::logger& log() {
    return *instance();
}

void report_failure(std::string_view why) {
    std::string line{why};
    std::replace(line.begin(), line.end(), '\n', ' ');
    if (json_format) {
        log().critical("{}", line);
        return;
    }
    if (!line.starts_with("txm: "))
        line.insert(0, "txm: ");
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), stderr);
}

bool can_draw_progress() {
    return !json_format && ::isatty(STDERR_FILENO) == 1;
}

}  // namespace txm::cli
