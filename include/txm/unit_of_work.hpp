#pragma once

#include "txm/inbox.hpp"
#include "txm/session.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace txm {

/// Ties a session, an inbox and the user's own repositories together. Derive from it, own the session and the
/// repositories as members, and build it with the incoming message when there is one:
/// then the inbox row is part of every transaction of it, and only one commit can succeed.
/// *Thread safety*: one coroutine or thread at a time.
class UnitOfWork {
public:
    /// @param incoming the message that is being handled; none when a request from elsewhere is
    explicit UnitOfWork(std::optional<Incoming> incoming = {});
    UnitOfWork(const UnitOfWork&) = delete;
    UnitOfWork& operator=(const UnitOfWork&) = delete;
    virtual ~UnitOfWork() = default;

    virtual InboxRepository& inbox() = 0;
    virtual Session& session() = 0;

    /// The idempotence check, when there is an incoming message; called by within().
    /// @throws MessageAlreadyProcessedError
    virtual awaitable<void> enter();

    /// Commits the session. @throws what Session::commit throws; AlreadyCommittedError for a second commit with something
    /// staged, when there is an incoming message
    virtual awaitable<void> commit();

    virtual void rollback() noexcept;

    const std::optional<Incoming>& incoming() const noexcept { return incoming_; }

    /// True once a commit for the incoming message (or, without one, any commit that wrote something) succeeded.
    bool is_committed() const noexcept { return committed_; }

private:
    void hook();
    void before_commit();

    std::optional<Incoming> incoming_;
    bool committed_ = false;
    bool hooked_ = false;
};

namespace detail {

class Leave {
public:
    explicit Leave(UnitOfWork& uow) noexcept : uow_(uow) {}
    Leave(const Leave&) = delete;
    Leave& operator=(const Leave&) = delete;
    ~Leave() { uow_.rollback(); }

private:
    UnitOfWork& uow_;
};

/// @throws UncommittedSessionError when writes are staged that a normal return would drop
void check_nothing_is_dropped(UnitOfWork& uow);

}  // namespace detail

/// Enters `uow` (the idempotence check), runs `body`, and rolls back what it did not commit, on return, exception and
/// cancellation. An awaitable is lazy: the body starts after the check.
/// @code
/// co_await txm::within(uow, create_order(uow, command));
/// @endcode
/// @throws UncommittedSessionError when the body returned normally with writes staged: commit or roll back explicitly
template <class T>
awaitable<T> within(UnitOfWork& uow, awaitable<T> body) {
    const detail::Leave leave{uow};
    co_await uow.enter();
    if constexpr (std::is_void_v<T>) {
        co_await std::move(body);
        detail::check_nothing_is_dropped(uow);
    } else {
        T result = co_await std::move(body);
        detail::check_nothing_is_dropped(uow);
        co_return result;
    }
}

}  // namespace txm
