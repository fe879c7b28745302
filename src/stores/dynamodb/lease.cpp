#include "stores/dynamodb/lease.hpp"

#include "core/fault_point.hpp"
#include "stores/dynamodb/outbox_row.hpp"
#include "stores/dynamodb/state_table.hpp"
#include "stores/dynamodb/transact_item.hpp"
#include "txm/error.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

namespace txm::dynamodb::detail {
namespace {

constexpr std::string_view is_mine = "#Fence = :fence AND #Released = :no";

}  // namespace

std::int64_t boottime_ms() noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_BOOTTIME, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000 + time.tv_nsec / 1'000'000;
}

Lease::Lease(DatabaseImpl& db, std::string state_table, std::string outbox_table, std::chrono::milliseconds term)
    : Lease(db, std::move(state_table), lease_key(),
            "another relay took the lease of the outbox '" + outbox_table + "'", term) {}

Lease::Lease(DatabaseImpl& db, std::string state_table, Item key, std::string lost, std::chrono::milliseconds term)
    : db_(db), table_(std::move(state_table)), key_(std::move(key)), lost_(std::move(lost)), term_(term.count()) {}

// False when its condition did not hold.
boost::asio::awaitable<bool> Lease::write(std::string body) const {
    try {
        co_await db_.call("UpdateItem", std::move(body));
    } catch (const aws::ServiceError& e) {
        if (e.type() != "ConditionalCheckFailedException")
            throw;
        co_return false;
    }
    co_return true;
}

boost::asio::awaitable<std::optional<Fence>> Lease::try_take() {
    const std::int64_t began = boottime_ms();
    const std::optional<Item> item = co_await db_.get_item(table_, key_);
    Fence fence;
    Condition condition{"attribute_not_exists(PK)"};
    if (item) {
        const std::int64_t seen = integer_of(*item, "Fence");
        const std::string* member = text_of(*item, "Member");
        const bool is_released = boolean_of(*item, "Released");
        const bool is_own = unanswered_ && unanswered_->value == seen && member && *member == member_.text();
        const bool is_free = is_released || is_own || (member && is_gone(*member));
        if (!is_free && !is_over(*item, began))
            co_return std::nullopt;
        fence.value = seen + 1;
        fence.clean_start = is_released || (is_own && unanswered_->clean_start);
        condition.expression = "#Fence = :seen AND #Version = :version";
        condition.values.emplace(":seen", seen);
        condition.values.emplace(":version", integer_of(*item, "Version"));
    } else {
        fence.value = 1;
    }
    condition.values.emplace(":fence", fence.value);
    condition.values.emplace(":member", member_.text());
    condition.values.emplace(":no", false);
    condition.values.emplace(":term", term_);
    condition.values.emplace(":time", fixed_width(now()));
    condition.values.emplace(":one", 1);
    std::string body = "{" +
                       update_members(table_, key_,
                                      "SET #Fence = :fence, #Member = :member, #Released = :no, #Term = :term, "
                                      "#RenewedAt = :time "
                                      "ADD #Version :one",
                                      condition) +
                       "}";
    fault::point("dynamodb_lease.take");
    unanswered_ = fence;
    const bool is_taken = co_await write(std::move(body));
    // Refused may be the second attempt of a request whose first one took it and had no answer: the next look tells.
    if (!is_taken)
        co_return std::nullopt;
    unanswered_.reset();
    fault::point("dynamodb_lease.taken");
    fence_ = fence.value;
    renewed_ = began;
    is_held_ = true;
    seen_at_ = 0;
    co_return fence;
}

// Whether its holder did not renew it for the whole of its term, as seen from here.
bool Lease::is_over(const Item& item, std::int64_t began) {
    const std::int64_t fence = integer_of(item, "Fence"), version = integer_of(item, "Version");
    if (seen_at_ == 0 || fence != seen_fence_ || version != seen_version_) {
        seen_fence_ = fence;
        seen_version_ = version;
        seen_at_ = boottime_ms();  // after the answer: the holder may have renewed it while it came
        return false;
    }
    return began - seen_at_ >= integer_of(item, "Term", term_);
}

std::string Lease::renewal_update() const {
    Item values;
    values.emplace(":fence", fence_.load());
    values.emplace(":no", false);
    values.emplace(":one", 1);
    values.emplace(":time", fixed_width(now()));
    return update_members(table_, key_, "SET #RenewedAt = :time ADD #Version :one",
                          Condition{is_mine, std::move(values)});
}

std::string Lease::renewal_element() const {
    return R"({"Update":{)" + renewal_update() + "}}";
}

std::string Lease::check_element() const {
    Item values;
    values.emplace(":fence", fence_.load());
    values.emplace(":no", false);
    return detail::check_element(table_, key_, Condition{is_mine, std::move(values)});
}

boost::asio::awaitable<void> Lease::renew() {
    fault::point("dynamodb_lease.renew");
    const std::int64_t began = boottime_ms();
    std::string body = "{" + renewal_update() + "}";
    const bool is_mine_still = co_await write(std::move(body));
    if (!is_mine_still)
        lost();
    renewed_ = began;
}

boost::asio::awaitable<void> Lease::release() {
    if (!is_held_.exchange(false))
        co_return;
    fault::point("dynamodb_lease.release");
    Item values;
    values.emplace(":fence", fence_.load());
    values.emplace(":no", false);
    values.emplace(":yes", true);
    std::string body =
        "{" + update_members(table_, key_, "SET #Released = :yes", Condition{is_mine, std::move(values)}) + "}";
    const bool is_written = co_await write(std::move(body));
    if (is_written)
        fault::point("dynamodb_lease.released");
}

bool is_expired(const Item& item, Timestamp time) {
    constexpr std::chrono::minutes most_apart{1};
    const std::string* text = text_of(item, "RenewedAt");
    const std::optional<Timestamp> renewed = text ? try_parse_iso8601(*text) : std::nullopt;
    return renewed && time - *renewed > std::chrono::milliseconds{integer_of(item, "Term")} + most_apart;
}

bool Lease::may_send() const noexcept {
    return is_held_ && boottime_ms() - renewed_ < term_ * 2 / 3;
}

std::chrono::milliseconds Lease::until_renewal() const noexcept {
    return std::chrono::milliseconds{is_held_ ? std::max<std::int64_t>(renewed_ + term_ / 3 - boottime_ms(), 0)
                                              : std::int64_t{0}};
}

void Lease::lost() {
    is_held_ = false;
    throw FenceLostError(lost_ + "; nothing was written under it");
}

}  // namespace txm::dynamodb::detail
