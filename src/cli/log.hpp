#pragma once

#include <string>
#include <string_view>

namespace spdlog {
class logger;
}

namespace txm::cli {

/// Starts logging to stderr. @param format text or json
void start_log(const std::string& level, const std::string& format);

/// The log; before start_log() it writes text.
spdlog::logger& log();

/// Why the program ends: `txm: …` on stderr (a JSON line with --log-format json), whatever the log level.
void report_failure(std::string_view why);

/// Whether progress may be drawn on stderr: it is a terminal and the log is text.
bool can_draw_progress();

}  // namespace txm::cli
