#pragma once

#include "cli/settings.hpp"
#include "cli/url.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace txm::cli {

/// What was given for a setting, and where.
struct Given {
    std::vector<std::string> texts;
    std::string origin;  ///< `--batch`, `TXM_BATCH` or `txm.toml:12: outbox.batch`
};

/// What a TOML file says, not yet for one command.
struct FileContent {
    std::map<std::string, Given> values;  ///< by Setting::file_key(), with the consumer's name in place of NAME
    std::vector<Option> store_options, broker_options;
};

/// Reads and checks a file. @throws UsageError with file and line: not TOML, an unknown section or key, a wrong type
FileContent read_file(const std::string& path);

/// The settings of one command: flags beat environment beats file.
class Configuration {
public:
    /// @param flags what the command line gave, by the setting's name  @throws UsageError for any wrong value
    Configuration(unsigned command, std::map<std::string, Given> flags);

    std::optional<std::string> find(std::string_view name) const;
    /// The value or the default.
    std::string text(std::string_view name) const;
    /// The value, which the command cannot do without.
    std::string required(std::string_view name) const;
    std::vector<std::string> list(std::string_view name) const;
    bool flag(std::string_view name) const;
    std::int64_t number(std::string_view name) const;
    std::chrono::milliseconds duration(std::string_view name) const;
    std::optional<std::chrono::seconds> retention(std::string_view name) const;
    bool json() const { return text("format") == "json"; }

    /// Where the value stands; the flag's name when there is none.
    std::string origin(std::string_view name) const;

    const std::vector<Option>& store_options() const noexcept { return store_options_; }
    const std::vector<Option>& broker_options() const noexcept { return broker_options_; }

private:
    const Setting& setting(std::string_view name) const;
    void check(const Setting& setting, const Given& given) const;
    void refuse_unknown_consumer(const FileContent& file, const std::string& path) const;

    unsigned command_;
    std::map<std::string, Given, std::less<>> given_;
    std::vector<Option> store_options_, broker_options_;
};

}  // namespace txm::cli
