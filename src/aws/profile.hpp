#pragma once

#include <map>
#include <optional>
#include <string>

namespace txm::aws::detail {

/// A profile of the shared files: what ~/.aws/credentials and ~/.aws/config say under its name.
class Profile {
public:
    explicit Profile(std::string called) : name(std::move(called)) {}

    /// Empty when it is not set.
    std::string get(const std::string& key) const {
        const auto found = values.find(key);
        return found == values.end() ? std::string() : found->second;
    }

    std::string name;
    std::map<std::string, std::string> values;
};

/// Reads the shared files (AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE).
/// @param name empty: AWS_PROFILE, else `default`
/// @return nothing when nobody named a profile and there is no `default`
/// @throws Error(invalid_configuration): the profile that was named is not there, or a line cannot be understood
std::optional<Profile> find_profile(const std::string& name);

}  // namespace txm::aws::detail
