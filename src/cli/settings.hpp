#pragma once

#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace txm::cli {

/// The commands, as bits: a setting belongs to one or several.
enum Command : unsigned {
    migrate = 1,
    publish = 2,
    relay = 4,
    consume = 8,
    messages = 16,
    status = 32,
    lambda = 64,
    every_command = 127,
};

/// Thrown for wrong usage and wrong configuration: one line, exit code 2.
class UsageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// One row of the table from which flags, environment variables, keys of the file and the documentation come.
struct Setting {
    enum class Kind { text, choice, number, duration, flag, list, optional_choice };
    enum class Source { flag, environment, file };  ///< each includes those before it

    std::string_view name;     ///< `max_attempts`: flag `--max-attempts`, variable `TXM_MAX_ATTEMPTS`
    Source source;             ///< the widest one
    std::string_view section;  ///< of the file; `consumer` stands for `[consumer.NAME]`
    std::string_view key;      ///< in that section
    Kind kind;
    std::string_view value;     ///< what help calls the value; the choices, separated by `|`
    std::string_view fallback;  ///< the default; empty when there is none
    unsigned commands;
    std::string_view help;

    std::string flag() const;      ///< `--max-attempts`
    std::string variable() const;  ///< `TXM_MAX_ATTEMPTS`
    std::string file_key() const;  ///< `relay.max_attempts`
};

std::span<const Setting> settings();

/// The row of that name for a command; null when there is none.
const Setting* find_setting(std::string_view name, unsigned command);

/// The table as Markdown, as it stands in docs/command-line.md.
void print_settings(std::ostream& out);

}  // namespace txm::cli
