#include "stores/dynamodb/session_impl.hpp"
#include "stores/dynamodb/write_text.hpp"
#include "txm/dynamodb.hpp"
#include "txm/error.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace txm::dynamodb {

namespace detail {
namespace {

[[noreturn]] void refuse_concurrent_use() {
    throw std::logic_error(
        "txm: the session is used while another operation of it is under way: give every coroutine a session of its "
        "own, "
        "and await each operation before the next");
}

Staged kind_of(const std::vector<StagedWrite>& writes) noexcept {
    if (writes.empty())
        return Staged::nothing;
    const bool inbox_only = std::all_of(
        writes.begin(), writes.end(), [](const StagedWrite& write) { return std::holds_alternative<InboxRow>(write); });
    return inbox_only ? Staged::inbox_only : Staged::writes;
}

}  // namespace

void SessionImpl::check_usable() const {
    if (is_busy.load(std::memory_order_relaxed))
        refuse_concurrent_use();
    if (condition == Condition::unknown)
        throw CommitOutcomeUnknown(
            "it is not known whether the last commit took effect: resolve() or rollback() first");
}

void SessionImpl::stage(StagedWrite write) {
    check_usable();
    if (writes.empty())
        writes.reserve(4);
    writes.push_back(std::move(write));
}

bool SessionImpl::has_staged(const InboxRow& row) const noexcept {
    return std::any_of(writes.begin(), writes.end(), [&](const StagedWrite& write) {
        const auto* const other = std::get_if<InboxRow>(&write);
        return other && other->is_same(row);
    });
}

Operation::Operation(std::shared_ptr<SessionImpl> session) : session_(std::move(session)) {
    if (session_->is_busy.exchange(true, std::memory_order_acquire))
        refuse_concurrent_use();
    session_->was_rolled_back = false;
}

Operation::~Operation() {
    session_->is_busy.store(false, std::memory_order_release);
}

void Operation::check_undisturbed() const {
    if (session_->was_rolled_back)
        throw std::logic_error(
            "txm: the session was rolled back while this operation of it was under way, and what it had staged is "
            "gone: "
            "give every coroutine a session of its own");
}

std::shared_ptr<SessionImpl> alive(const std::weak_ptr<SessionImpl>& session) {
    auto locked = session.lock();
    if (!locked)
        throw std::logic_error("txm: the repository outlived its session");
    return locked;
}

}  // namespace detail

using detail::SessionImpl;
using Condition = SessionImpl::Condition;

Session::Session(Database& db) : impl_(std::make_shared<SessionImpl>(db.impl())) {}

Session::~Session() = default;

void Session::add(Write write) {
    detail::WriteText::check(write);
    impl_->stage(std::move(write));
}

awaitable<std::optional<Item>> Session::get(std::string table, Item key) {
    impl_->check_usable();
    const detail::Operation operation{impl_};
    std::optional<Item> item = co_await operation->database.get_item(table, key);
    operation.check_undisturbed();
    co_return item;
}

awaitable<std::vector<Item>> Session::query(Query query) {
    impl_->check_usable();
    const detail::Operation operation{impl_};
    std::vector<Item> items = co_await operation->database.read_all(std::move(query));
    operation.check_undisturbed();
    co_return items;
}

awaitable<void> Session::commit() {
    impl_->check_usable();
    const std::shared_ptr<SessionImpl> impl = impl_;
    if (impl->condition == Condition::failed && impl->writes.empty())
        throw Error(Errc::commit_failed_before,
                    "an earlier commit failed, and nothing was staged since: rollback(), or stage the work again");
    before_commit();
    if (impl->writes.empty())
        co_return;
    const detail::Operation operation{impl};
    impl->condition = Condition::failed;
    const auto commit =
        std::make_shared<detail::Commit>(impl->database, detail::Transaction{std::exchange(impl->writes, {}), now()});
    co_await commit->check();
    const auto cancellation = co_await boost::asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != boost::asio::cancellation_type::none)
        throw boost::system::system_error(boost::asio::error::operation_aborted);

    // The last point of cancellation: from here on the work belongs to the store, and its real result is awaited.
    const bool throws = co_await boost::asio::this_coro::throw_if_cancelled();
    std::exception_ptr failure;
    bool is_unknown = false;
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    try {
        co_await commit->run();
    } catch (const CommitOutcomeUnknown&) {
        failure = std::current_exception();
        is_unknown = true;
    } catch (...) {
        failure = std::current_exception();
    }
    co_await boost::asio::this_coro::throw_if_cancelled(throws);
    if (is_unknown) {
        impl->condition = Condition::unknown;
        impl->in_doubt = commit;
    }
    if (failure)
        std::rethrow_exception(failure);
    impl->condition = Condition::ready;
    committed();
}

void Session::rollback() noexcept {
    impl_->writes.clear();
    // An operation that is under way says of itself how it ends.
    if (impl_->is_busy.load(std::memory_order_relaxed)) {
        impl_->was_rolled_back = true;
        return;
    }
    impl_->condition = Condition::ready;
    impl_->in_doubt.reset();
}

awaitable<CommitOutcome> Session::resolve() {
    const std::shared_ptr<SessionImpl> impl = impl_;
    if (impl->condition != Condition::unknown)
        throw std::logic_error("txm: resolve() is for a session whose commit threw CommitOutcomeUnknown");
    const detail::Operation operation{impl};
    const CommitOutcome outcome = co_await impl->in_doubt->resolve();
    if (outcome == CommitOutcome::still_unknown)
        co_return outcome;
    impl->in_doubt.reset();
    impl->condition = outcome == CommitOutcome::committed ? Condition::ready : Condition::failed;
    if (outcome == CommitOutcome::committed)
        committed();
    co_return outcome;
}

Staged Session::staged() const noexcept {
    return detail::kind_of(impl_->writes);
}

}  // namespace txm::dynamodb
