#include "stores/dynamodb/consumer_store_leases.hpp"

#include "txm/error.hpp"

#include <exception>
#include <utility>
#include <vector>

namespace txm::dynamodb::detail {

awaitable<bool> ConsumerLeases::keep(std::string what) {
    std::shared_ptr<Held> held;
    {
        const std::lock_guard lock{mutex_};
        std::shared_ptr<Held>& known = leases_[what];
        if (!known)
            known = std::make_shared<Held>(db_, table_, keys_.lease(what),
                                           "another process of the consumer took its lease on '" + what + "'");
        held = known;
        if (held->is_busy)  // another coroutine asks at this moment; what it finds out counts next time
            co_return held->lease.is_held();
        held->is_busy = true;
    }
    std::exception_ptr failure;
    bool is_ours = false;
    try {
        is_ours = co_await keep_held(held->lease);
    } catch (...) {
        failure = std::current_exception();
    }
    {
        const std::lock_guard lock{mutex_};
        held->is_busy = false;
    }
    if (failure)
        std::rethrow_exception(failure);
    co_return is_ours;
}

awaitable<bool> ConsumerLeases::keep_held(Lease& lease) {
    bool is_lost = !lease.is_held();
    if (!is_lost && lease.until_renewal() > std::chrono::milliseconds{0})
        co_return true;
    if (!is_lost) {
        try {
            co_await lease.renew();
        } catch (const FenceLostError&) {
            is_lost = true;
        }
    }
    if (!is_lost)
        co_return true;
    const std::optional<Fence> fence = co_await lease.try_take();
    co_return fence.has_value();
}

awaitable<void> ConsumerLeases::release() {
    std::vector<std::shared_ptr<Held>> held;
    {
        const std::lock_guard lock{mutex_};
        for (const auto& [what, lease] : leases_)
            held.push_back(lease);
        leases_.clear();
    }
    for (const std::shared_ptr<Held>& lease : held)
        co_await lease->lease.release();
}

}  // namespace txm::dynamodb::detail
