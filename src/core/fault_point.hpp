#pragma once

#include <string_view>

/// The seam through which tests kill, fail, delay or freeze a process at each I/O step. Compiled into test builds only.
namespace txm::fault {

#if TXM_FAULT_POINTS

/// Names a step, as `component.step` in a string literal (the harness finds them all in the sources). TXM_FAULT in the
/// environment says what happens there: `kill@NAME:N` raises SIGKILL at the Nth pass (default 1), `stop@NAME:N` SIGSTOP,
/// `fail@NAME:N` throws Error(store_unavailable), `delay@NAME:MS` waits at every pass; several are separated by commas.
/// With TXM_FAULT_LOG=FILE every pass of a point that has an action is appended there.
void point(std::string_view name);

/// True when TXM_BREAK names this deliberate mistake: the harness must find each of them.
bool broken(std::string_view mistake) noexcept;

#else

inline void point(std::string_view) noexcept {}
constexpr bool broken(std::string_view) noexcept {
    return false;
}

#endif

}  // namespace txm::fault
