#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace txm::cli {

/// One line on a terminal that is drawn over and over, a few times a second; nothing when stderr is no terminal.
class Progress {
public:
    Progress();
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    /// True when it is time to draw again.
    bool is_due();
    void draw(std::string_view text);
    /// Takes the line away, before something else is written.
    void clear();

private:
    bool enabled_, drawn_ = false;
    std::chrono::steady_clock::time_point next_;
};

}  // namespace txm::cli
