#pragma once

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

namespace txm::test {

/// An environment that knows nothing of Amazon, as long as this lives: no variables, no files in the home directory, no
/// metadata service.
class AwsEnvironment {
public:
    AwsEnvironment() {
        std::vector<std::string> names{"HOME"};
        for (char** entry = environ; *entry; ++entry)
            if (const std::string text = *entry; text.rfind("AWS_", 0) == 0)
                names.push_back(text.substr(0, text.find('=')));
        for (const std::string& name : names) {
            if (const char* const value = std::getenv(name.c_str()))
                before_.emplace_back(name, value);
            ::unsetenv(name.c_str());
        }
        set("HOME", "/nonexistent");
        set("AWS_EC2_METADATA_DISABLED", "true");
    }
    ~AwsEnvironment() {
        for (const std::string& name : set_)
            ::unsetenv(name.c_str());
        for (const auto& [name, value] : before_)
            ::setenv(name.c_str(), value.c_str(), 1);
    }
    AwsEnvironment(const AwsEnvironment&) = delete;
    AwsEnvironment& operator=(const AwsEnvironment&) = delete;

    void set(const std::string& name, const std::string& value) {
        ::setenv(name.c_str(), value.c_str(), 1);
        set_.push_back(name);
    }

private:
    std::vector<std::pair<std::string, std::string>> before_;
    std::vector<std::string> set_;
};

}  // namespace txm::test
