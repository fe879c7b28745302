#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace txm::cli {

/// An option of a store or a broker: a parameter of its URL, or a key of its section in the file.
struct Option {
    std::string name, value;
    std::string origin;  ///< where it stands, for errors
};

/// `scheme:rest?name=value&…`, percent-decoded.
struct Url {
    std::string scheme, rest;
    std::vector<Option> options;
    std::string shown;  ///< the whole of it with its secrets as ***
};

/// @param origin where the text stands, such as `--store`  @throws UsageError
Url parse_url(std::string_view text, const std::string& origin);

/// `text` with the password of a URL, and the values of parameters that look like secrets, as ***.
std::string redacted(std::string_view text);

/// The options of one backend, read one by one; what nobody asked for is unknown.
class Options {
public:
    /// @param options the later one of a name holds  @param scheme names the backend in errors
    Options(std::string scheme, std::vector<Option> options);

    std::string text(std::string_view name, std::string_view fallback);
    std::string choice(std::string_view name, std::string_view choices, std::string_view fallback);
    bool flag(std::string_view name, bool fallback);
    std::chrono::milliseconds duration(std::string_view name, std::chrono::milliseconds fallback);

    /// Whether it stands anywhere.
    bool has(std::string_view name) { return find(name) != nullptr; }

    /// The first that looks like a password or a key; null when none does.
    const Option* find_secret() const;

    /// @throws UsageError naming an option that is not known, and those that are
    void refuse_others() const;

private:
    const Option* find(std::string_view name);

    std::string scheme_;
    std::vector<Option> options_;
    std::vector<std::string> known_;
};

}  // namespace txm::cli
