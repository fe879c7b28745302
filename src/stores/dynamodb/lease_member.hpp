#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace txm::dynamodb::detail {

/// Who holds a lease, as a text that others can judge: `host process 42 (boot namespace start number)`. Each member is
/// one of its own, also beside others of the same process.
/// *Thread safety*: text() from any thread.
class LeaseMember {
public:
    LeaseMember();
    ~LeaseMember();
    LeaseMember(const LeaseMember&) = delete;
    LeaseMember& operator=(const LeaseMember&) = delete;

    const std::string& text() const noexcept { return text_; }

private:
    std::uint64_t number_;
    std::string text_;
};

/// True when it is certain that the member is no more: it was a process of this very machine, started since it booted, that
/// has ended, or a part of this process that has. Of members elsewhere nothing is known.
bool is_gone(std::string_view member);

}  // namespace txm::dynamodb::detail
