#include "aws/credentials_cache.hpp"

#include <algorithm>
#include <random>
#include <utility>

namespace txm::aws::detail {
namespace {

using namespace std::chrono_literals;

// As long before the end as Amazon's own tools do it; within a minute of each other, lest a fleet asks at once.
constexpr auto ahead = 5min;
constexpr auto spread = 60s;
// When a renewal failed, or gave some that are soon over; sooner when even these would be over by then.
constexpr auto again_after = 10s;

}  // namespace

CredentialsCache::CredentialsCache(ClientOptions options, std::string region, std::function<void()> on_change)
    : options_(std::move(options)), region_(std::move(region)), on_change_(std::move(on_change)) {
    if (options_.credentials)
        keys_.emplace(*options_.credentials);
}

CredentialsCache::~CredentialsCache() {
    if (thread_.joinable())
        thread_.join();
}

CredentialsCache::Given CredentialsCache::get() {
    const std::scoped_lock lock(mutex_);
    if (!keys_ && !is_searching_ && !failure_ && options_.profile.empty())
        keys_ = credentials_from_environment();
    if (keys_ && !keys_->expiry)
        return keys_->credentials;
    const auto now = Clock::now();
    const bool is_valid = keys_ && now < valid_until_;
    if (!is_valid && failure_)
        std::rethrow_exception(std::exchange(failure_, nullptr));
    if (!is_searching_ && (!is_valid || now >= next_search_))
        search();
    return is_valid ? keys_->credentials : nullptr;
}

bool CredentialsCache::renew(const Given& refused) {
    if (options_.credentials)
        return false;
    const std::scoped_lock lock(mutex_);
    if (keys_ && keys_->credentials == refused) {
        keys_.reset();
        if (!is_searching_)
            search();
    }
    return true;
}

// With mutex_ held.
void CredentialsCache::search() {
    is_searching_ = true;
    failure_ = nullptr;
    if (thread_.joinable())
        thread_.join();  // it is at its end: is_searching_ was false
    thread_ = std::thread([this] {
        std::optional<Keys> found;
        std::exception_ptr failure;
        try {
            found = find_credentials(options_, region_);
        } catch (...) {
            failure = std::current_exception();
        }
        {
            const std::scoped_lock result(mutex_);
            if (found) {
                keys_ = std::move(found);
                // Some that are over when they are given are so by this machine's clock, or come from a source that gives no
                // better ones: the service says which, and nobody asks for others without end.
                if (keys_->expiry)
                    valid_until_ = *keys_->expiry > Clock::now() ? *keys_->expiry : Clock::now() + again_after;
            } else
                failure_ = std::move(failure);
            plan_search();
            is_searching_ = false;
        }
        on_change_();
    });
}

void CredentialsCache::plan_search() {
    if (!keys_ || !keys_->expiry)
        return;
    const auto now = Clock::now();
    const auto jitter = std::chrono::seconds(std::random_device{}() % spread.count());
    const Clock::duration left = *keys_->expiry - now;
    const auto soonest = left > 0s ? std::min<Clock::duration>(again_after, left / 2) : again_after;
    next_search_ = std::max(*keys_->expiry - ahead + jitter, now + soonest);
}

}  // namespace txm::aws::detail
