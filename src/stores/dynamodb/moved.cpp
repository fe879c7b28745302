#include "stores/dynamodb/moved.hpp"

#include "core/backoff.hpp"
#include "stores/dynamodb/database_impl.hpp"
#include "txm/error.hpp"

namespace txm::dynamodb::detail {
namespace {

// Each time one of those who meet goes on, so that this many meetings in a row are no coincidence.
constexpr int max_meetings = 100;

}  // namespace

awaitable<bool> commit_unless_moved(Session& session, int& failures) {
    bool is_moved = false;
    try {
        co_await session.commit();
    } catch (const Moved&) {
        is_moved = true;
    }
    if (!is_moved)
        co_return true;
    if (++failures > max_meetings)
        throw Error(Errc::store_unavailable, "other processes changed the same items each time, " +
                                                 std::to_string(failures) +
                                                 " times in a row: try again when fewer of them work on one aggregate");
    txm::detail::Backoff backoff{std::chrono::milliseconds(2), std::chrono::milliseconds(100)};
    co_await pause(backoff.after(failures));
    co_return false;
}

}  // namespace txm::dynamodb::detail
